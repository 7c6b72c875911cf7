// Templates as the TypeScript that they are, checked by the compiler: each is a function of its data.
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import ts from 'typescript';

const root = fileURLToPath(new URL('../..', import.meta.url));

export interface Template {
  /** Its path below the project's root. */
  readonly file: string;
  readonly text: string;
  /** The type of `it`, and of the part of it that is the template's alone. */
  readonly it: string;
  readonly own: string;
}

export interface CheckedTemplates {
  /** What the compiler says of a template, with the line. */
  readonly mistakes: (template: Template) => string[];
  /** The names of what a template uses of `it`. */
  readonly used: (template: Template) => Set<string>;
  /** The names of what its own part has. */
  readonly own: (template: Template) => string[];
}

/** A template as code: what is shown is a call of `show`, markup one of `put`, text nothing. Lines stay where they are. */
export function asCode(text: string): string {
  return text
    .split(/(<%[^]*?%>)/)
    .map((part) => {
      const [, kind, code] = /^<%([=~]?)([^]*)%>$/.exec(part) ?? [];
      if (code === undefined) return part.replace(/[^\n]/g, '');
      return kind === '' ? `${code};` : `${kind === '=' ? 'show' : 'put'}(${code});`;
    })
    .join('');
}

// A page shows text and numbers: `undefined` or an object would be seen as such.
const preamble = [
  `import type { AccountFrame, AccountViews } from '${root}src/pages/views/account.ts';`,
  `import type { Frame, Layout } from '${root}src/pages/views/frame.ts';`,
  `import type { Partials } from '${root}src/pages/views/partials.ts';`,
  `import type { Views } from '${root}src/pages/views/views.ts';`,
  `import type { MailFrame, MailLayout } from '${root}src/mail/letter.ts';`,
  `import type { MailTemplates } from '${root}src/storage/mail-templates.ts';`,
  // A type without keys of its own has none, and not any.
  'type Known<T> = string extends keyof T ? object : T;',
  'declare function show(value: string | number): void;',
  'declare function put(html: string): void;',
  "declare function layout(template: './layout', data: Pick<Layout, 'title'>): void;",
  'declare function include<P extends keyof Partials>(partial: `./partials/${P}`, data: Partials[P]): string;',
].join(' ');

export function checkTemplates(templates: readonly Template[]): CheckedTemplates {
  const pathOf = ({ file }: Template) => `${join(root, file)}.ts`;
  const code = new Map(
    templates.map((one) => [
      pathOf(one),
      `${preamble} export type Own = ${one.own}; export function template(it: ${one.it}) {${asCode(one.text)}}`,
    ]),
  );
  const program = compile(code);
  const checker = program.getTypeChecker();
  const sourceOf = (template: Template) => program.getSourceFile(pathOf(template)) as ts.SourceFile;
  return {
    mistakes(template) {
      const source = sourceOf(template);
      return [
        ...program.getSyntacticDiagnostics(source),
        ...program.getSemanticDiagnostics(source),
      ].map(({ start = 0, messageText }) => {
        const line = source.getLineAndCharacterOfPosition(start).line + 1;
        return `${line}: ${ts.flattenDiagnosticMessageText(messageText, ' ')}`;
      });
    },
    used(template) {
      const found = new Set<string>();
      const visit = (node: ts.Node): void => {
        if (ts.isPropertyAccessExpression(node) && isIt(node.expression)) found.add(node.name.text);
        if (
          ts.isVariableDeclaration(node) &&
          isIt(node.initializer) &&
          ts.isObjectBindingPattern(node.name)
        )
          for (const { name } of node.name.elements) found.add(name.getText());
        ts.forEachChild(node, visit);
      };
      visit(sourceOf(template));
      return found;
    },
    own(template) {
      const module = checker.getSymbolAtLocation(sourceOf(template)) as ts.Symbol;
      const [type] = checker.getExportsOfModule(module).filter(({ name }) => name === 'Own');
      return checker
        .getDeclaredTypeOfSymbol(type as ts.Symbol)
        .getProperties()
        .map(({ name }) => name);
    },
  };
}

function isIt(node: ts.Node | undefined): boolean {
  return node !== undefined && ts.isIdentifier(node) && node.text === 'it';
}

function compile(code: ReadonlyMap<string, string>): ts.Program {
  const { config } = ts.readConfigFile(join(root, 'tsconfig.json'), (file) =>
    ts.sys.readFile(file),
  ) as {
    config: { compilerOptions: object };
  };
  const { options } = ts.convertCompilerOptionsFromJson(
    {
      ...config.compilerOptions,
      ...{ noUnusedLocals: false, noUnusedParameters: false, noUncheckedIndexedAccess: false },
    },
    root,
  );
  const host = ts.createCompilerHost(options);
  const getSourceFile = host.getSourceFile.bind(host);
  host.getSourceFile = (file, version, ...others) => {
    const text = code.get(file);
    return text === undefined
      ? getSourceFile(file, version, ...others)
      : ts.createSourceFile(file, text, version, true);
  };
  return ts.createProgram([...code.keys()], options, host);
}
