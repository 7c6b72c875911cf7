// How a person calls the `symbolon` command where this runs.

/** By npm in a checkout, which is run as it is; else as it is installed. */
export const symbolonCommand = import.meta.url.endsWith('.ts')
  ? 'npm run -s symbolon --'
  : 'npx symbolon';
