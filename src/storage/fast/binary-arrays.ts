// Array parameters in PostgreSQL's binary format. The driver would write them as text, with two digits for a byte,
// dates for times, and escapes: for the columns of a refresh that is a tenth of a statement's time.

const SINCE = Date.UTC(2000, 0); // milliseconds; PostgreSQL counts times from then

export interface Types {
  bytea: Uint8Array;
  int4: number;
  /** JSON text. */
  jsonb: string;
  text: string;
  timestamptz: Date;
}

// The types' ids in PostgreSQL's catalog, which are the same in every database, and how a value is encoded.
const types: {
  readonly [T in keyof Types]: { readonly oid: number; readonly wire: (v: Types[T]) => Uint8Array };
} = {
  bytea: { oid: 17, wire: (value) => value },
  int4: {
    oid: 23,
    wire(value) {
      const wire = Buffer.allocUnsafe(4);
      wire.writeInt32BE(value);
      return wire;
    },
  },
  jsonb: { oid: 3802, wire: (value) => Buffer.from(`\u0001${value}`) }, // its format's version
  text: { oid: 25, wire: (value) => Buffer.from(value) },
  timestamptz: {
    oid: 1184,
    wire(value) {
      const wire = Buffer.allocUnsafe(8);
      wire.writeBigInt64BE(BigInt(value.getTime() - SINCE) * 1000n); // microseconds
      return wire;
    },
  },
};

/**
 * A parameter of the type `type[]`: one dimension, from index 1, whose elements may be NULL (array_recv in PostgreSQL's
 * arrayfuncs.c). The driver sends a buffer as it is.
 */
export function binaryArray<T extends keyof Types>(
  type: T,
  values: readonly (Types[T] | null | undefined)[],
): Buffer {
  const { oid, wire } = types[type];
  const elements = values.map((value) => (value == null ? undefined : wire(value)));
  let size = 20;
  for (const element of elements) size += 4 + (element?.length ?? 0);
  const array = Buffer.allocUnsafe(size);
  let at = 0;
  for (const head of [1, 1, oid, values.length, 1]) at = array.writeInt32BE(head, at);
  for (const element of elements) {
    at = array.writeInt32BE(element?.length ?? -1, at);
    if (!element) continue;
    array.set(element, at);
    at += element.length;
  }
  return array;
}
