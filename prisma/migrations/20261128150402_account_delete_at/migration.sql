-- AlterTable
ALTER TABLE "account" ADD COLUMN     "delete_at" TIMESTAMPTZ(3);

-- CreateIndex
CREATE INDEX "account_delete_at_idx" ON "account"("delete_at");
