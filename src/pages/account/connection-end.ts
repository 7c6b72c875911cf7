// The ends that a person may choose for a connection, as its form shows them and sends one.
import type { RefreshFamily } from '../../generated/client.ts';
import type { Language } from '../../languages.ts';
import { latestChoice } from '../../storage/families/until.ts';
import { latestEnd } from '../../storage/families/verdict.ts';

/** A choice of the form. */
export interface EndChoice {
  readonly value: string;
  readonly words: string;
  readonly isChosen: boolean;
}

const DAY = 86_400;
const durations = [DAY, 7 * DAY, 30 * DAY, 90 * DAY]; // seconds
const AS_LONG_AS_ALLOWED = 'allowed';

/**
 * The choices for a living family, the present end among them.
 *
 * @param absoluteTtl seconds for which a family of its client lives at most
 * @returns none when there is only the end that it has
 */
export function endChoices(
  { t, date, duration }: Language,
  family: RefreshFamily,
  { absoluteTtl, now }: { readonly absoluteTtl: number; readonly now: Date },
): EndChoice[] {
  const [end, limit] = [latestEnd(family), latestChoice(family, absoluteTtl)];
  const isLimit = end.getTime() === limit.getTime();
  const sooner = durations
    .map((seconds) => ({ seconds, until: new Date(now.getTime() + seconds * 1000) }))
    .filter(({ until }) => until < limit)
    .map(({ seconds, until }) => ({
      value: String(seconds),
      words: t('applications.until-for', { duration: duration(seconds), date: date(until) }),
      isChosen: false,
    }));
  const allowed = t('applications.until-allowed', { date: date(limit) });
  const present = { value: '', words: t('applications.until-now', { date: date(end) }) };
  const all = [
    ...(isLimit ? [] : [{ ...present, isChosen: true }]),
    ...sooner,
    { value: AS_LONG_AS_ALLOWED, words: allowed, isChosen: isLimit },
  ];
  return all.length > 1 ? all : [];
}

/**
 * What was chosen.
 *
 * @param value as the form sent it
 * @returns seconds from now, or none for as long as is permitted; undefined when the end is to stay as it is
 */
export function chosenEnd(value: string): { readonly seconds: number | undefined } | undefined {
  if (value === AS_LONG_AS_ALLOWED) return { seconds: undefined };
  const seconds = durations.find((one) => String(one) === value);
  return seconds === undefined ? undefined : { seconds };
}
