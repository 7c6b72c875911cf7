-- AlterTable
ALTER TABLE "account" ALTER COLUMN "email_ascii" SET DEFAULT (gen_random_uuid())::text;
