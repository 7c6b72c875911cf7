-- DropIndex
DROP INDEX "audit_event_at_idx";

-- AlterTable
ALTER TABLE "audit_event" ADD COLUMN     "erased" TEXT,
ADD COLUMN     "position" BIGINT NOT NULL DEFAULT 0;

-- CreateTable
CREATE TABLE "audit_checkpoint" (
    "number" BIGINT NOT NULL,
    "at" TIMESTAMPTZ(3) NOT NULL,
    "first" BIGINT NOT NULL,
    "last" BIGINT NOT NULL,
    "youngest" TIMESTAMPTZ(3) NOT NULL,
    "before" TIMESTAMPTZ(3),
    "digest" TEXT NOT NULL,
    "previous" TEXT NOT NULL,
    "hash" TEXT NOT NULL,

    CONSTRAINT "audit_checkpoint_pkey" PRIMARY KEY ("number")
);

-- CreateTable
CREATE TABLE "audit_head" (
    "id" INTEGER NOT NULL DEFAULT 1,
    "position" BIGINT NOT NULL DEFAULT 0,
    "number" BIGINT NOT NULL DEFAULT 0,
    "sealed" BIGINT NOT NULL DEFAULT 0,
    "hash" TEXT NOT NULL DEFAULT '',
    "sealed_at" TIMESTAMPTZ(3),
    "youngest" TIMESTAMPTZ(3),

    CONSTRAINT "audit_head_pkey" PRIMARY KEY ("id")
);

-- CreateIndex
CREATE INDEX "audit_event_at_position_idx" ON "audit_event"("at", "position");

-- CreateIndex
CREATE INDEX "audit_event_position_id_idx" ON "audit_event"("position", "id");

-- CreateIndex
CREATE INDEX "audit_event_client_id_idx" ON "audit_event"("client_id");
