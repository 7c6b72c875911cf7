-- AlterTable
ALTER TABLE "account" ADD COLUMN     "picture_id" TEXT;

-- CreateIndex
CREATE UNIQUE INDEX "account_picture_id_key" ON "account"("picture_id");
