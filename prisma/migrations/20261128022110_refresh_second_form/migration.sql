-- AlterTable
ALTER TABLE "refresh_family" ADD COLUMN     "retries" JSONB NOT NULL DEFAULT '{}',
ADD COLUMN     "salt" BYTEA NOT NULL DEFAULT substring(sha256(uuid_send(gen_random_uuid()) || uuid_send(gen_random_uuid())) from 1 for 16);
