// The type of a setting, and kinds of values that several settings have. A kind has a schema, and says in words what it
// accepts.
import { resolve } from 'node:path';
import { z } from 'zod';

export interface Setting {
  /** The environment variable. */
  readonly variable: string;
  readonly schema: z.ZodType;
  /** What a value must look like, in words: the end of the sentence "it wants …". */
  readonly wants: string;
  readonly help: string;
  /** The default in words, if it is no fixed value. */
  readonly fallback?: string;
  /** Whether a bad value must not be repeated in the error message. */
  readonly secret?: boolean;
}

/** Settings by the place of their values in the configuration. */
export interface Section {
  readonly [place: string]: Setting | Section;
}

/** Whether an entry is a setting, not a section. */
export function isSetting(entry: Setting | Section): entry is Setting {
  return entry['schema'] instanceof z.ZodType;
}

/** The values of a section, in its shape. */
export type ValuesOf<S> = {
  readonly [Place in keyof S]: S[Place] extends Setting
    ? z.output<S[Place]['schema']>
    : ValuesOf<S[Place]>;
};

/** Decimal digits. The bounds are inclusive. */
export const integer = (min: number, max: number) =>
  z.string().regex(/^\d+$/).transform(Number).pipe(z.number().int().min(min).max(max));

/** At most a hundred years. */
export const seconds = (fallback: number, min = 1) => ({
  schema: integer(min, 3_155_760_000).default(fallback),
  wants: 'a number of seconds',
});

const boolean = z
  .enum(['true', 'false', '1', '0'])
  .transform((value) => value === 'true' || value === '1');

/** Off, unless it is set. */
export const flag = { schema: boolean.default(false), wants: '`true` or `false`' };

/** On or off; what follows without it, depends on others. */
export const optionalFlag = { schema: boolean.optional(), wants: '`true` or `false`' };

/** One of these names. */
export function oneOf<const Name extends string>(names: readonly Name[], fallback: NoInfer<Name>) {
  const quoted = names.map((name) => `\`${name}\``);
  return {
    schema: z.enum(names).default(fallback),
    wants: `${quoted.slice(0, -1).join(', ')} or ${quoted.at(-1) ?? ''}`,
  };
}

/** The absolute path of a file or a folder. */
export const path = z
  .string()
  .min(1)
  .transform((value) => resolve(value));

/**
 * A transformation that reads the file that a value names.
 *
 * @param read throws an error that says what is wrong
 * @param wants replaces the setting's own `wants` then
 */
export function reading<T>(read: (value: string) => T, wants: string) {
  return (value: string, context: z.RefinementCtx): T => {
    try {
      return read(value);
    } catch (error) {
      refuse(context, `${wants} (${(error as Error).message})`);
      return z.NEVER;
    }
  };
}

/** Refuses a value. @param wants replaces the setting's own `wants` */
export function refuse(context: z.RefinementCtx, wants: string): void {
  context.addIssue({ code: 'custom', params: { wants } });
}

/** What a refused value should have been: the end of the sentence "it wants …". */
export function wanted(setting: Setting, error: z.ZodError): string {
  const [issue] = error.issues;
  const wants: unknown = issue?.code === 'custom' ? issue.params?.['wants'] : undefined;
  return typeof wants === 'string' ? wants : setting.wants;
}
