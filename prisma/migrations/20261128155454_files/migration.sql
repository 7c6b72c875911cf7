-- AlterTable
ALTER TABLE "resource" ADD COLUMN     "applied" BOOLEAN NOT NULL DEFAULT false;

-- AlterTable
ALTER TABLE "group" ADD COLUMN     "applied" BOOLEAN NOT NULL DEFAULT false;

-- AlterTable
ALTER TABLE "client" ADD COLUMN     "applied" BOOLEAN NOT NULL DEFAULT false;

-- CreateTable
CREATE TABLE "claims_policy" (
    "id" INTEGER NOT NULL DEFAULT 1,
    "scopes" JSONB NOT NULL DEFAULT '{}',
    "id_token" TEXT[] DEFAULT ARRAY[]::TEXT[],
    "access_token" TEXT[] DEFAULT ARRAY[]::TEXT[],
    "updated_at" TIMESTAMPTZ(3) NOT NULL,

    CONSTRAINT "claims_policy_pkey" PRIMARY KEY ("id")
);
