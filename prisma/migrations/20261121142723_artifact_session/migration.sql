-- AlterTable
ALTER TABLE "artifact" ADD COLUMN     "session" BYTEA;
