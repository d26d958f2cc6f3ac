/** The last step of the build: puts what tsc does not compile beside what it has made of this folder. */
import { copyFile, mkdir } from 'node:fs/promises';

const from = new URL('./', import.meta.url);
const to = new URL('../../../dist/admin/page/', import.meta.url);

await mkdir(to, { recursive: true });
for (const name of ['index.html', 'page.css', 'icon.svg'])
  await copyFile(new URL(name, from), new URL(name, to));
