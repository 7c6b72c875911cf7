-- Addresses were ASCII until now, so they are compared as they are.
-- AlterTable
ALTER TABLE "account" ADD COLUMN     "email_ascii" TEXT;
UPDATE "account" SET "email_ascii" = "email";
ALTER TABLE "account" ALTER COLUMN "email_ascii" SET NOT NULL;

-- CreateIndex
CREATE UNIQUE INDEX "account_email_ascii_key" ON "account"("email_ascii");
