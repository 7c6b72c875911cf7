// The picture of docs/performance.md: how fast Symbolon is, as a share of the bare engine.

interface Row {
  readonly workload: string;
  readonly connections: number;
  readonly perSecond: number;
  readonly ratio: number | null;
}

const WIDTH = 720;
const LEFT = 150;
const BAR = 14;

export function chart(rows: readonly Row[]): string {
  const drawn = rows.filter(({ ratio }) => ratio !== null);
  const workloads = [...new Set(drawn.map(({ workload }) => workload))];
  let y = 40;
  const lines: string[] = [];
  for (const workload of workloads) {
    lines.push(`<text x="0" y="${y + BAR}" class="name">${workload}</text>`);
    for (const { connections, ratio, perSecond } of drawn.filter(
      (row) => row.workload === workload,
    )) {
      const width = Math.min(1, ratio ?? 0) * (WIDTH - LEFT - 170);
      lines.push(
        `<text x="${LEFT - 8}" y="${y + 11}" text-anchor="end">${connections}</text>`,
        `<rect x="${LEFT}" y="${y}" width="${width.toFixed(1)}" height="${BAR - 2}" rx="2"/>`,
        `<text x="${LEFT + width + 6}" y="${y + 11}">${((ratio ?? 0) * 100).toFixed(0)} % · ${perSecond.toFixed(0)}/s</text>`,
      );
      y += BAR;
    }
    y += 12;
  }
  return `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${WIDTH} ${y}" font-family="system-ui, sans-serif" font-size="11">
<style>text{fill:#57534e}.name{font-weight:600;font-size:13px;fill:#1c1917}rect{fill:#0f766e}svg{background:#fff}</style>
<text x="0" y="16" class="name">Throughput as a share of the bare engine in memory, by connections</text>
${lines.join('\n')}
</svg>
`;
}
