-- CreateTable
CREATE TABLE "delivery" (
    "id" TEXT NOT NULL,
    "sealed" BYTEA NOT NULL,
    "attempts" INTEGER NOT NULL DEFAULT 0,
    "next_at" TIMESTAMPTZ(3) NOT NULL,
    "expires_at" TIMESTAMPTZ(3) NOT NULL,

    CONSTRAINT "delivery_pkey" PRIMARY KEY ("id")
);

-- CreateIndex
CREATE INDEX "delivery_next_at_idx" ON "delivery"("next_at");

-- CreateIndex
CREATE INDEX "artifact_account_id_idx" ON "artifact"("account_id");
