-- AlterTable
ALTER TABLE "account" ADD COLUMN     "claims" JSONB NOT NULL DEFAULT '{}';

-- AlterTable
ALTER TABLE "signing_key" ADD COLUMN     "signs_from" TIMESTAMPTZ(3);

-- CreateTable
CREATE TABLE "resource" (
    "id" TEXT NOT NULL,
    "name" TEXT,
    "scopes" JSONB NOT NULL DEFAULT '{}',
    "format" TEXT NOT NULL DEFAULT 'jwt',
    "ttl" INTEGER,
    "alg" TEXT,
    "created_at" TIMESTAMPTZ(3) NOT NULL DEFAULT CURRENT_TIMESTAMP,
    "updated_at" TIMESTAMPTZ(3) NOT NULL,

    CONSTRAINT "resource_pkey" PRIMARY KEY ("id")
);

-- CreateTable
CREATE TABLE "installation_secret" (
    "name" TEXT NOT NULL,
    "sealed" BYTEA NOT NULL,

    CONSTRAINT "installation_secret_pkey" PRIMARY KEY ("name")
);

-- Keys that are there have been signing.
UPDATE signing_key SET signs_from = created_at;
