-- AlterTable
ALTER TABLE "account" ADD COLUMN     "locked_at" TIMESTAMPTZ(3);

-- AlterTable
ALTER TABLE "refresh_family" ADD COLUMN     "consent_expires_at" TIMESTAMPTZ(3);

-- AlterTable
ALTER TABLE "artifact" ADD COLUMN     "account_id" TEXT,
ADD COLUMN     "family_id" TEXT;
