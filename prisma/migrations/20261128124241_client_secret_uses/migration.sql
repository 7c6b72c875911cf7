-- CreateTable
CREATE TABLE "client_secret_use" (
    "client_id" TEXT NOT NULL,
    "secret_id" TEXT NOT NULL,
    "at" TIMESTAMPTZ(3) NOT NULL,
    "ip" TEXT,
    "user_agent" TEXT,

    CONSTRAINT "client_secret_use_pkey" PRIMARY KEY ("client_id","secret_id")
);

-- AddForeignKey
ALTER TABLE "client_secret_use" ADD CONSTRAINT "client_secret_use_client_id_fkey" FOREIGN KEY ("client_id") REFERENCES "client"("id") ON DELETE CASCADE ON UPDATE CASCADE;
