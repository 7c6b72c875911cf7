-- AlterTable
ALTER TABLE "signing_key" DROP COLUMN "public_jwk";
