-- AlterTable
ALTER TABLE "link" ADD COLUMN     "sealed" BYTEA;

-- CreateIndex
CREATE INDEX "link_email_idx" ON "link"("email");
