// The languages of pages and mails: views/locales/<tag>.json, each a flat object of messages in ICU MessageFormat.
// English is complete by definition; a test checks that the others are. An installation's own files
// (SYMBOLON_VIEWS_DIR) override messages and add languages; a message that a language lacks is English.
import { existsSync, readFileSync, readdirSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { IntlMessageFormat } from 'intl-messageformat';
import type en from '../views/locales/en.json';

const locales = fileURLToPath(new URL('../views/locales', import.meta.url));

/** The key of a message. English has them all; its file is imported only for its type. */
export type MessageKey = keyof typeof en;

export type Values = Readonly<Record<string, string | number>>;

/** A language of pages and mails. Nothing that it returns is markup. */
export interface Language {
  /** BCP 47: `en`, `ar`. */
  readonly tag: string;
  readonly direction: 'ltr' | 'rtl';
  /** The language's name in itself. */
  readonly name: string;
  /** @throws {Error} when there is no such message */
  readonly t: (key: MessageKey, values?: Values) => string;
  /** A date, with `time` the time of day as well, in UTC unless the time zone is known. */
  readonly date: (date: Date, time?: boolean) => string;
  /** The distance from now in its largest fitting unit: "3 days ago". */
  readonly relative: (date: Date, now: Date) => string;
  /** A duration in its largest fitting unit: 2592000 seconds are "30 days". */
  readonly duration: (seconds: number) => string;
}

export interface Languages {
  readonly all: readonly Language[];
  /**
   * The first wanted language that exists, else English.
   *
   * @param wanted BCP 47 tags, the preferred one first; `de-AT` finds `de`
   */
  readonly choose: (wanted: readonly string[]) => Language;
}

let spoken: Languages | undefined;

/** English, for the command line and for programs. */
export function english(): Language {
  return (spoken ??= loadLanguages()).choose(['en']);
}

/** Whether a value from a cookie or a library is the key of a message. */
export function isMessageKey(key: unknown): key is MessageKey {
  return typeof key === 'string' && Object.hasOwn(ownTexts()['en'] ?? {}, key);
}

const units = [
  ['day', 86_400],
  ['hour', 3600],
  ['minute', 60],
  ['second', 1],
] as const;

type Texts = Readonly<Record<string, string>>;

/**
 * @param views the installation's own folder, with or without a subfolder `locales`
 * @throws {Error} when one of its files has a mistake: the message says which
 */
export function loadLanguages(views?: string): Languages {
  const [ours, theirs] = [ownTexts(), views === undefined ? {} : read(`${views}/locales`)];
  const { en = {} } = ours;
  const all = [...new Set([...Object.keys(ours), ...Object.keys(theirs)])]
    .sort()
    .map((tag) => createLanguage(tag, [theirs[tag] ?? {}, ours[tag] ?? {}], theirs['en'], en));
  for (const [tag, texts] of Object.entries(theirs)) check(tag, texts);
  return {
    all,
    choose(wanted) {
      const tags = [...wanted, 'en'];
      return tags.flatMap((tag) => all.find((one) => isFor(tag, one.tag)) ?? [])[0] as Language;
    },
  };
}

let own: Record<string, Texts> | undefined;

// Read once: they are part of the program.
function ownTexts(): Record<string, Texts> {
  return (own ??= read(locales));
}

/** The messages in a folder, by language. */
function read(folder: string): Record<string, Texts> {
  if (!existsSync(folder)) return {};
  const files = readdirSync(folder).filter((file) => file.endsWith('.json'));
  return Object.fromEntries(
    files.map((file) => {
      try {
        const texts = JSON.parse(readFileSync(`${folder}/${file}`, 'utf8')) as Texts;
        const [tag = ''] = Intl.getCanonicalLocales(file.replace(/\.json$/, ''));
        return [tag, texts];
      } catch (error) {
        throw new Error(`locales/${file}: ${(error as Error).message}`, { cause: error });
      }
    }),
  );
}

// Our own files are checked by a test.
function check(tag: string, texts: Texts): void {
  for (const [key, text] of Object.entries(texts)) {
    try {
      new IntlMessageFormat(text, tag, undefined, { ignoreTag: true });
    } catch (error) {
      throw new Error(`locales/${tag}.json: ${key}: ${(error as Error).message}`, { cause: error });
    }
  }
}

// RFC 4647 §3.4, lookup: `de-AT` is served by `de`.
function isFor(wanted: string, tag: string): boolean {
  const [asked, is] = [wanted.toLowerCase(), tag.toLowerCase()];
  return asked === is || asked.startsWith(`${is}-`);
}

/** @param texts its messages, in order of precedence @param english for messages that it lacks */
function createLanguage(
  tag: string,
  texts: readonly Texts[],
  ...english: (Texts | undefined)[]
): Language {
  const messages = new Map<string, IntlMessageFormat>();
  const direction = ['ar', 'fa', 'he', 'ur'].includes(new Intl.Locale(tag).language)
    ? 'rtl'
    : 'ltr';
  // Most processes speak few of their languages.
  const relative = once(() => new Intl.RelativeTimeFormat(tag, { numeric: 'auto' }));
  const utc = { dateStyle: 'long', timeZone: 'UTC' } as const;
  const day = once(() => new Intl.DateTimeFormat(tag, utc));
  const minute = once(() => new Intl.DateTimeFormat(tag, { ...utc, timeStyle: 'short' }));
  return {
    tag,
    direction,
    name: new Intl.DisplayNames(tag, { type: 'language' }).of(tag) ?? tag,
    t(key, values) {
      let message = messages.get(key);
      if (!message) {
        message = compile(key);
        messages.set(key, message);
      }
      return String(message.format(values));
    },
    date: (date, time) => (time ? `${minute().format(date)} UTC` : day().format(date)),
    relative(date, now) {
      const seconds = (date.getTime() - now.getTime()) / 1000;
      const [unit, size] = largest(Math.abs(seconds));
      return relative().format(Math.trunc(seconds / size), unit);
    },
    duration(seconds) {
      const [unit, size] = largest(seconds);
      const format = new Intl.NumberFormat(tag, { style: 'unit', unit, unitDisplay: 'long' });
      return format.format(Math.floor(seconds / size));
    },
  };

  function compile(key: string): IntlMessageFormat {
    const own = texts.find((some) => key in some)?.[key];
    const text = own ?? english.find((some) => some && key in some)?.[key];
    if (text === undefined) throw new Error(`views/locales/en.json has no message "${key}".`);
    const spoken = own === undefined ? 'en' : tag;
    const message = new IntlMessageFormat(text, spoken, undefined, { ignoreTag: true });
    return direction === 'ltr'
      ? message
      : new IntlMessageFormat(isolated(message.getAst()), spoken);
  }
}

/** What is made when it is first asked for. */
function once<Made>(make: () => Made): () => Made {
  let made: Made | undefined;
  return () => (made ??= make());
}

type Elements = ReturnType<IntlMessageFormat['getAst']>;

const ARGUMENT = 1; // the type of a plain value in the parser's tree

/**
 * Isolates a message's values (Unicode UAX #9, FSI and PDI), so that an address or a name in another script does not
 * reorder the words around it.
 */
function isolated(elements: Elements): Elements {
  const [open = [], close = []] = ['\u2068', '\u2069'].map((mark) =>
    new IntlMessageFormat(mark).getAst(),
  );
  return elements.flatMap((element) => {
    if ('options' in element)
      for (const option of Object.values(element.options)) option.value = isolated(option.value);
    return (element.type as number) === ARGUMENT ? [...open, element, ...close] : [element];
  });
}

function largest(seconds: number): (typeof units)[number] {
  return units.find(([, size]) => seconds >= size) ?? ['second', 1];
}
