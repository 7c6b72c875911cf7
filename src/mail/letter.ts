// The content of a mail. views/mail/<template>.eta composes it from paragraphs, facts and a button, in the person's
// language; its HTML (views/mail/layout.eta) and its text are made from these. Eta escapes everything.
import { existsSync } from 'node:fs';
import { isIP } from 'node:net';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { Eta } from 'eta';
import { type LinkPurpose, linkLife, linkUrl } from '../accounts/links.ts';
import { deviceInWords } from '../devices.ts';
import type { Language, Languages } from '../languages.ts';
import { plainName, shortened } from '../names.ts';
import type { MailOf } from '../storage/deliveries.ts';
import type { MailTemplates } from '../storage/mail-templates.ts';
import { unlinked } from './links.ts';

const views = fileURLToPath(new URL('../../views/mail', import.meta.url));

/** The look of the installation's mails. */
export interface MailLook {
  readonly name: string;
  /** A folder whose subfolder `mail` has templates that replace ours of the same name. */
  readonly views?: string | undefined;
}

export interface Letter {
  readonly subject: string;
  readonly html: string;
  readonly text: string;
}

type Block =
  | { readonly kind: 'text' | 'quiet'; readonly text: string }
  | { readonly kind: 'facts'; readonly facts: readonly (readonly [string, string])[] }
  | { readonly kind: 'button'; readonly text: string; readonly url: string };

/** What a template has besides its values: words, URLs, and functions that compose the letter part by part. */
export interface MailFrame {
  readonly t: Language['t'];
  /** The provider's name. */
  readonly name: string;
  /** The mail's `userAgent` in words. */
  readonly device: string;
  /** @param at in milliseconds since the epoch */
  readonly date: (at: number) => string;
  readonly duration: Language['duration'];
  /** An application's name in a sentence. @param stranger where it is at home, if nobody here vouches for it */
  readonly named: (name: string, stranger: string | undefined) => string;
  /** How long a link is good, in words. */
  readonly lifeOf: (purpose: LinkPurpose) => string;
  /** @param path below the issuer's */
  readonly url: (path: string) => string;
  /** The URL of the link with the mail's `token`. */
  readonly link: (purpose: LinkPurpose) => string;
  readonly subject: (text: string) => void;
  readonly text: (text: string) => void;
  readonly quiet: (text: string) => void;
  /** @param facts names and values; empty values are left out */
  readonly facts: (facts: readonly (readonly [name: string, fact: string])[]) => void;
  readonly button: (text: string, url: string) => void;
}

/** The data of `views/mail/layout.eta`. */
export interface MailLayout {
  readonly subject: string;
  readonly blocks: readonly Block[];
  readonly footer: string;
  readonly name: string;
  readonly lang: string;
  readonly direction: Language['direction'];
}

export type Compose = (mail: MailOf<keyof MailTemplates>) => Letter;

export function createLetters(baseUrl: string, languages: Languages, look: MailLook): Compose {
  const { name } = look;
  const eta = new Eta({ views, cache: true, autoEscape: true });
  eta.resolvePath = (template) => {
    const own = join(look.views ?? views, 'mail', `${template}.eta`);
    return look.views !== undefined && existsSync(own) ? own : join(views, `${template}.eta`);
  };
  return ({ locale, template, values }) => {
    const language = languages.choose(locale === null ? [] : [locale]);
    const { t, tag, direction } = language;
    const blocks: Block[] = [];
    let subject = '';
    const frame: MailFrame = {
      t,
      name,
      device: unlinked(
        deviceInWords(language, 'userAgent' in values ? values.userAgent : undefined),
      ),
      date: (at) => language.date(new Date(at), true),
      duration: language.duration,
      named: (client, hosts) => {
        if (hosts === undefined) return client;
        return hosts === ''
          ? t('client.stranger-nowhere', { client })
          : t('client.stranger', { client, hosts });
      },
      lifeOf: (purpose) => language.duration(linkLife[purpose]),
      url: (path) => baseUrl + path,
      link: (purpose) => linkUrl(baseUrl, purpose, 'token' in values ? values.token : ''),
      subject: (text) => (subject = oneLine(text)),
      text: (text) => blocks.push({ kind: 'text', text }),
      quiet: (text) => blocks.push({ kind: 'quiet', text }),
      facts: (facts) =>
        blocks.push({ kind: 'facts', facts: facts.filter(([, fact]) => fact !== '') }),
      button: (text, url) => blocks.push({ kind: 'button', text, url }),
    };
    const shown = Object.entries({ ...values }).map(([key, value]) => [key, named(value)] as const);
    eta.render(template, { ...Object.fromEntries(shown), ...frame });
    const footer = t('mail.footer', { name, issuer: baseUrl });
    const layout: MailLayout = { subject, blocks, footer, name, lang: tag, direction };
    const html = eta.render('layout', layout);
    const text = [subject, ...blocks.map(plain), `-- \n${footer}`].join('\n\n');
    return { subject, html, text: `${text}\n` };
  };
}

function plain(block: Block): string {
  if (block.kind === 'facts')
    return block.facts.map(([name, fact]) => `${name}: ${oneLine(fact)}`).join('\n');
  // The URL has a line of its own, where every mail program makes a link of it.
  return block.kind === 'button' ? `${block.text}\n${block.url}` : block.text;
}

// A name that somebody else chose, such as an application's, must not say more in our mail than a name does.
function named<T>(value: T): T | string {
  if (typeof value !== 'string') return value;
  return withoutLinks(shortened(plainName(value)));
}

// A plain e-mail or network address leads nowhere of a stranger's choice, and people copy it.
function withoutLinks(value: string): string {
  const isMail = /^[^\s@/:]+@[^\s@/:]+$/u.test(value) && !/^www\./i.test(value);
  return isMail || isIP(value) !== 0 ? value : unlinked(value);
}

// Nor may it begin another header or line.
function oneLine(text: string): string {
  return text.replace(/[\p{Cc}\p{Zl}\p{Zp}]+/gu, ' ').trim();
}
