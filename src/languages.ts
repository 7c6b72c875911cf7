// The languages of pages and mails: views/locales/<tag>.json, each a flat object of messages in ICU MessageFormat.
// English is complete by definition; a test holds the others to it.
import { readFileSync, readdirSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { IntlMessageFormat } from 'intl-messageformat';

const locales = fileURLToPath(new URL('../views/locales', import.meta.url));

export type Values = Readonly<Record<string, string | number>>;

/** One language, as pages and mails speak it. Nothing that it returns is markup. */
export interface Language {
  /** BCP 47: `en`, `ar`. */
  readonly tag: string;
  readonly direction: 'ltr' | 'rtl';
  /** What the language calls itself. */
  readonly name: string;
  /** @throws {Error} when there is no such message */
  readonly t: (key: string, values?: Values) => string;
  /** A day, and with `time` the time of the day, in UTC where no time zone is known. */
  readonly date: (date: Date, time?: boolean) => string;
  /** How long ago or how far ahead, in its largest fitting unit: "3 days ago". */
  readonly relative: (date: Date, now: Date) => string;
  /** A length of time in its largest fitting unit: 2592000 seconds are "30 days". */
  readonly duration: (seconds: number) => string;
}

export interface Languages {
  readonly all: readonly Language[];
  /**
   * The first language that is wanted and there is; else English.
   *
   * @param wanted BCP 47 tags, the most wanted first; `de-AT` finds `de`
   */
  readonly choose: (wanted: readonly string[]) => Language;
}

let spoken: Languages | undefined;

/** English, for the command line and for programs. */
export function english(): Language {
  return (spoken ??= loadLanguages()).choose(['en']);
}

const units = [
  ['day', 86_400],
  ['hour', 3600],
  ['minute', 60],
  ['second', 1],
] as const;

export function loadLanguages(): Languages {
  const all = readdirSync(locales)
    .filter((file) => file.endsWith('.json'))
    .map((file) => createLanguage(file.replace(/\.json$/, '')));
  const english = all.find(({ tag }) => tag === 'en');
  if (!english)
    throw new Error('views/locales/en.json is missing: English is what others fall back to.');
  return {
    all,
    choose(wanted) {
      for (const tag of wanted) {
        const found = all.find((one) => isFor(tag, one.tag));
        if (found) return found;
      }
      return english;
    },
  };
}

// RFC 4647 §3.4, lookup: `de-AT` is served by `de`.
function isFor(wanted: string, tag: string): boolean {
  const [asked, is] = [wanted.toLowerCase(), tag.toLowerCase()];
  return asked === is || asked.startsWith(`${is}-`);
}

function createLanguage(tag: string): Language {
  const texts = JSON.parse(readFileSync(`${locales}/${tag}.json`, 'utf8')) as Record<
    string,
    string
  >;
  const messages = new Map<string, IntlMessageFormat>();
  const relative = new Intl.RelativeTimeFormat(tag, { numeric: 'auto' });
  const day = new Intl.DateTimeFormat(tag, { dateStyle: 'long' });
  const minute = new Intl.DateTimeFormat(tag, {
    dateStyle: 'long',
    timeStyle: 'short',
    timeZone: 'UTC',
  });
  return {
    tag,
    direction: ['ar', 'fa', 'he', 'ur'].includes(new Intl.Locale(tag).language) ? 'rtl' : 'ltr',
    name: new Intl.DisplayNames(tag, { type: 'language' }).of(tag) ?? tag,
    t(key, values) {
      let message = messages.get(key);
      if (!message) {
        const text = texts[key];
        if (text === undefined)
          throw new Error(`views/locales/${tag}.json has no message "${key}".`);
        message = new IntlMessageFormat(text, tag, undefined, { ignoreTag: true });
        messages.set(key, message);
      }
      return String(message.format(values));
    },
    date: (date, time) => (time ? `${minute.format(date)} UTC` : day.format(date)),
    relative(date, now) {
      const seconds = (date.getTime() - now.getTime()) / 1000;
      const [unit, size] = largest(Math.abs(seconds));
      return relative.format(Math.trunc(seconds / size), unit);
    },
    duration(seconds) {
      const [unit, size] = largest(seconds);
      const format = new Intl.NumberFormat(tag, { style: 'unit', unit, unitDisplay: 'long' });
      return format.format(Math.floor(seconds / size));
    },
  };
}

function largest(seconds: number): (typeof units)[number] {
  return units.find(([, size]) => seconds >= size) ?? ['second', 1];
}
