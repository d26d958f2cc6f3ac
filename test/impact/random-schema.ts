/**
 * Random schemas for impact: foreign keys with every ON DELETE and ON UPDATE action,
 * self-references, partitions, inheritance, generated columns, triggers, rules, views.
 *
 * Every table counts for itself what happens to its rows: a trigger AFTER each of them
 * advances a sequence of that table and operation. Sequences do not roll back and are
 * read from any session at once, so they tell of attempts too, and they stand beside
 * the server's counters and owe nothing to them.
 */
import fc from 'fast-check';

const ACTIONS = ['NO ACTION', 'RESTRICT', 'CASCADE', 'SET NULL', 'SET DEFAULT'] as const;
const KINDS = ['plain', 'plain', 'range', 'list', 'hash', 'nested', 'inherited'] as const;
const EXTRAS = [
  'none',
  'none',
  'insert',
  'update',
  'delete',
  'veto',
  'change',
  'statement',
  'caught',
  'rule_also',
  'rule_instead',
  'rule_nothing',
] as const;

const table = fc.record({
  kind: fc.constantFrom(...KINDS),
  /** Which table it refers to, this one among them. */
  refers: fc.nat(3),
  onDelete: fc.constantFrom(...ACTIONS, 'CASCADE' as const, 'CASCADE' as const),
  onUpdate: fc.constantFrom(...ACTIONS, 'CASCADE' as const),
  deferred: fc.boolean(),
  extra: fc.constantFrom(...EXTRAS),
  /** Which table its trigger or rule changes. */
  at: fc.nat(3),
  rows: fc.integer({ min: 3, max: 12 }),
});
export type RandomTable = typeof table extends fc.Arbitrary<infer T> ? T : never;

export const schema = fc.array(table, { minLength: 2, maxLength: 4 });
export type RandomSchema = readonly RandomTable[];

/** Attempts that the tables' own triggers do not see may be counted: rows of a query that failed half-way and was caught. */
export function catchesErrors(tables: RandomSchema): boolean {
  return tables.some(({ extra }) => extra === 'caught');
}

/** The tables that have rows of their own, partitions and children in place of their parents. */
function leavesOf(tables: RandomSchema): readonly string[] {
  return [
    'seen',
    ...tables.flatMap(({ kind }, index) => {
      const name = `t${index}`;
      switch (kind) {
        case 'plain':
          return [name];
        case 'inherited':
          return [name, `${name}_child`];
        case 'range':
        case 'list':
        case 'hash':
          return [`${name}_a`, `${name}_b`, `${name}_c`];
        case 'nested':
          return [`${name}_a`, `${name}_b1`, `${name}_b2`, `${name}_c`];
      }
    }),
  ];
}

/** The schema in the place of whatever is there, for a user who may do everything with its tables. @param sql that of schemaText() */
export function remakeText(sql: string, user: string): string {
  return `DROP SCHEMA public CASCADE; CREATE SCHEMA public;
    GRANT ALL ON SCHEMA public TO "${user}"; ${sql}
    GRANT ALL ON ALL TABLES IN SCHEMA public TO "${user}";
    GRANT ALL ON ALL SEQUENCES IN SCHEMA public TO "${user}"`;
}

/** What makes the schema and its rows. `random`: the seed of the rows. */
export function schemaText(tables: RandomSchema): {
  readonly sql: string;
  readonly leaves: readonly string[];
} {
  const leaves = leavesOf(tables);
  const sql = [
    'CREATE SEQUENCE rids;',
    "CREATE TABLE seen (rid bigint NOT NULL DEFAULT nextval('rids'), what int, v int DEFAULT 0);",
    ...tables.map((one, index) => tableText(tables, one, index)),
    ...tables.flatMap((one, index) => rowsText(tables, one, index)),
    `SELECT setval('rids', 1000);`,
    ...tables.map((one, index) => referenceText(tables, one, index)),
    ...tables.map((one, index) => extraText(tables, one, index)),
    'CREATE VIEW low AS SELECT * FROM t0 WHERE id < 8;',
    'CREATE VIEW doubled AS SELECT id, v + v AS w FROM t1;',
    `CREATE FUNCTION through_view() RETURNS trigger LANGUAGE plpgsql AS $$
       BEGIN DELETE FROM t1 WHERE id = OLD.id; INSERT INTO seen (what) VALUES (OLD.id); RETURN OLD; END $$;
     CREATE TRIGGER through_view INSTEAD OF DELETE ON doubled FOR EACH ROW EXECUTE FUNCTION through_view();`,
    `CREATE FUNCTION work(low int, high int) RETURNS int LANGUAGE plpgsql AS $$
       BEGIN
         UPDATE t1 SET v = v + 1 WHERE id BETWEEN low AND high;
         DELETE FROM t0 WHERE id BETWEEN low AND high;
         RETURN low;
       END $$;`,
    `CREATE PROCEDURE toil(low int) LANGUAGE plpgsql AS $$ BEGIN DELETE FROM t1 WHERE id = low; END $$;`,
    `CREATE FUNCTION event() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER AS $$
       BEGIN PERFORM nextval('public.e_' || TG_TABLE_NAME || '_' || lower(TG_OP)); RETURN NULL; END $$;`,
    ...leaves.flatMap((name) => [
      ...['insert', 'update', 'delete'].map(
        (operation) => `CREATE SEQUENCE e_${name}_${operation}; SELECT setval('e_${name}_${operation}', 1);`,
      ),
      // The name puts it before every other one, as the server fires them in the order of their names.
      `CREATE TRIGGER "!event" AFTER INSERT OR UPDATE OR DELETE ON ${name} FOR EACH ROW EXECUTE FUNCTION event();`,
    ]),
  ].join('\n');
  return { sql, leaves };
}

const COLUMNS = `rid bigint NOT NULL DEFAULT nextval('rids'), id int NOT NULL, v int DEFAULT 1, ref int DEFAULT 0,
  twice int GENERATED ALWAYS AS (v * 2) STORED`;

function tableText(_tables: RandomSchema, { kind }: RandomTable, index: number): string {
  const name = `t${index}`;
  const columns = `${COLUMNS}, PRIMARY KEY (id)`;
  const part = (suffix: string, of: string, bound: string, rest = '') =>
    `CREATE TABLE ${name}_${suffix} PARTITION OF ${of} ${bound} ${rest};`;
  switch (kind) {
    case 'plain':
      return `CREATE TABLE ${name} (${columns});`;
    case 'inherited':
      return `CREATE TABLE ${name} (${columns}); CREATE TABLE ${name}_child (more int) INHERITS (${name});`;
    case 'range':
    case 'nested':
      return [
        `CREATE TABLE ${name} (${columns}) PARTITION BY RANGE (id);`,
        part('a', name, 'FOR VALUES FROM (MINVALUE) TO (4)'),
        ...(kind === 'range'
          ? [part('b', name, 'FOR VALUES FROM (4) TO (9)')]
          : [
              part('b', name, 'FOR VALUES FROM (4) TO (9)', 'PARTITION BY HASH (id)'),
              part('b1', `${name}_b`, 'FOR VALUES WITH (MODULUS 2, REMAINDER 0)'),
              part('b2', `${name}_b`, 'FOR VALUES WITH (MODULUS 2, REMAINDER 1)'),
            ]),
        part('c', name, 'FOR VALUES FROM (9) TO (MAXVALUE)'),
      ].join('\n');
    case 'list':
      return [
        `CREATE TABLE ${name} (${columns}) PARTITION BY LIST (id);`,
        part('a', name, 'FOR VALUES IN (0, 1, 2, 3, 4)'),
        part('b', name, 'FOR VALUES IN (5, 6, 7)'),
        part('c', name, 'DEFAULT'),
      ].join('\n');
    case 'hash':
      return [
        `CREATE TABLE ${name} (${columns}) PARTITION BY HASH (id);`,
        ...['a', 'b', 'c'].map((suffix, remainder) =>
          part(suffix, name, `FOR VALUES WITH (MODULUS 3, REMAINDER ${remainder})`),
        ),
      ].join('\n');
  }
}

function rowsText(
  tables: RandomSchema,
  { kind, rows, refers }: RandomTable,
  index: number,
): readonly string[] {
  const most = tables[refers % tables.length]?.rows ?? 1;
  const from = `SELECT i, i, (i * 7 + ${index}) % ${Math.min(most, rows)} FROM generate_series(0, ${rows - 1}) i`;
  return [
    `INSERT INTO t${index} (id, v, ref) ${from};`,
    ...(kind === 'inherited'
      ? [`INSERT INTO t${index}_child (id, v, ref) SELECT i, i, NULL FROM generate_series(20, 23) i;`]
      : []),
  ];
}

function referenceText(
  tables: RandomSchema,
  { refers, onDelete, onUpdate, deferred }: RandomTable,
  index: number,
): string {
  const target = refers % tables.length;
  const when = deferred ? 'DEFERRABLE INITIALLY DEFERRED' : '';
  return `ALTER TABLE t${index} ADD FOREIGN KEY (ref) REFERENCES t${target} (id) ON DELETE ${onDelete} ON UPDATE ${onUpdate} ${when};`;
}

function extraText(tables: RandomSchema, { extra, at }: RandomTable, index: number): string {
  const name = `t${index}`;
  const other = `t${at % tables.length}`;
  const trigger = (body: string, when: string, each = 'ROW') =>
    `CREATE FUNCTION extra_${name}() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN ${body} END $$;
     CREATE TRIGGER extra ${when} ON ${name} FOR EACH ${each} EXECUTE FUNCTION extra_${name}();`;
  switch (extra) {
    case 'none':
      return '';
    case 'insert':
      return trigger(
        'INSERT INTO seen (what) SELECT i FROM generate_series(1, 2) i; RETURN NULL;',
        'AFTER INSERT OR UPDATE OR DELETE',
      );
    case 'update':
      return trigger(
        `IF pg_trigger_depth() < 3 THEN UPDATE ${other} SET v = v + 1 WHERE id = OLD.id; END IF; RETURN NULL;`,
        'AFTER UPDATE OR DELETE',
      );
    case 'delete':
      return trigger(
        `IF pg_trigger_depth() < 3 THEN DELETE FROM ${other} WHERE id = OLD.id + 1; END IF; RETURN NULL;`,
        'AFTER UPDATE OR DELETE',
      );
    case 'veto':
      return trigger(
        "IF TG_OP = 'DELETE' THEN IF OLD.v % 3 = 0 THEN RETURN NULL; END IF; RETURN OLD; END IF; IF NEW.v % 3 = 0 THEN RETURN NULL; END IF; RETURN NEW;",
        'BEFORE INSERT OR UPDATE OR DELETE',
      );
    case 'change':
      return trigger('NEW.v := NEW.v + 10; RETURN NEW;', 'BEFORE INSERT OR UPDATE');
    case 'statement':
      return trigger(
        'INSERT INTO seen (what) VALUES (0); UPDATE seen SET v = v + 1; RETURN NULL;',
        'AFTER INSERT OR UPDATE OR DELETE',
        'STATEMENT',
      );
    case 'caught':
      return trigger(
        `BEGIN INSERT INTO seen (what) VALUES (7); INSERT INTO ${other} (id, ref) VALUES (100, NULL), (100, NULL);
         EXCEPTION WHEN OTHERS THEN NULL; END; RETURN NULL;`,
        'AFTER UPDATE OR DELETE',
      );
    case 'rule_also':
      return `CREATE RULE extra AS ON DELETE TO ${name} DO ALSO INSERT INTO seen (what) VALUES (OLD.id);`;
    case 'rule_instead':
      return `CREATE RULE extra AS ON DELETE TO ${name} DO INSTEAD UPDATE ${name} SET v = -1 WHERE id = OLD.id;`;
    case 'rule_nothing':
      return `CREATE RULE extra AS ON INSERT TO ${name} WHERE NEW.v > 50 DO INSTEAD NOTHING;`;
  }
}

const WRITES = [
  'insert',
  'insert_select',
  'conflict',
  'update',
  'update_key',
  'update_ref',
  'delete',
  'delete',
  'merge',
  'cte',
  'function',
  'view_update',
  'view_delete',
  'view_instead',
  'copy',
  'do',
  'call',
  'two',
] as const;

export const write = fc.record({
  what: fc.constantFrom(...WRITES),
  on: fc.nat(3),
  other: fc.nat(3),
  low: fc.integer({ min: 0, max: 12 }),
  width: fc.integer({ min: 0, max: 12 }),
  key: fc.integer({ min: 0, max: 40 }),
});
export type RandomWrite = typeof write extends fc.Arbitrary<infer T> ? T : never;

export interface WriteText {
  readonly sql: string;
  /** Lines of a COPY … FROM STDIN. */
  readonly copy: string | null;
  /** The view whose rows the command tag reports, although only its trigger knows what is done for them. */
  readonly tagOf: string | null;
}

export function writeText(count: number, { what, on, other, low, width, key }: RandomWrite): WriteText {
  const a = `t${on % count}`;
  const b = `t${other % count}`;
  const high = low + width;
  const some = `id BETWEEN ${low} AND ${high}`;
  const plain = (sql: string): WriteText => ({ sql, copy: null, tagOf: null });
  switch (what) {
    case 'insert':
      return plain(`INSERT INTO ${a} (id, v, ref) VALUES (${key}, ${key * 2}, NULL), (${key + 1}, 3, 0)`);
    case 'insert_select':
      return plain(`INSERT INTO ${a} (id, v, ref) SELECT id + ${key + 20}, v, NULL FROM ${b} WHERE ${some}`);
    case 'conflict':
      return plain(
        `INSERT INTO ${a} (id, v, ref) SELECT i, 5, NULL FROM generate_series(${low}, ${high}) i ON CONFLICT (id) DO UPDATE SET v = excluded.v + 1`,
      );
    case 'update':
      return plain(`UPDATE ${a} SET v = v + ${key} WHERE ${some}`);
    case 'update_key':
      return plain(`UPDATE ${a} SET id = id + ${key + 13} WHERE ${some}`);
    case 'update_ref':
      return plain(`UPDATE ${a} SET ref = ${key % 5} WHERE ${some}`);
    case 'delete':
      return plain(`DELETE FROM ${a} WHERE ${some}`);
    case 'merge':
      return plain(
        `MERGE INTO ${a} USING generate_series(${low}, ${high}) AS s(k) ON ${a}.id = s.k WHEN MATCHED AND s.k % 2 = 0 THEN DELETE WHEN MATCHED THEN UPDATE SET v = 8 WHEN NOT MATCHED THEN INSERT (id, v, ref) VALUES (s.k, 1, NULL)`,
      );
    case 'cte':
      return plain(
        `WITH d AS (DELETE FROM ${a} WHERE ${some} RETURNING id), i AS (INSERT INTO seen (what) SELECT id FROM d RETURNING what) SELECT count(*) FROM i`,
      );
    case 'function':
      return plain(`SELECT work(${low}, ${high})`);
    case 'view_update':
      return plain(`UPDATE low SET v = v + 1 WHERE id < ${high}`);
    case 'view_delete':
      return plain(`DELETE FROM low WHERE id < ${low}`);
    case 'view_instead':
      return { sql: `DELETE FROM doubled WHERE ${some}`, copy: null, tagOf: 'doubled' };
    case 'copy':
      return {
        sql: `COPY ${a} (id, v, ref) FROM STDIN`,
        copy: Array.from({ length: width + 1 }, (_, at) => `${key + at}\t${at}\t\\N\n`).join(''),
        tagOf: null,
      };
    case 'do':
      return plain(
        `DO $$ BEGIN FOR i IN ${low}..${high} LOOP DELETE FROM ${a} WHERE id = i; UPDATE ${b} SET v = v - 1 WHERE id = i; END LOOP; END $$`,
      );
    case 'call':
      return plain(`CALL toil(${low})`);
    case 'two':
      return plain(`UPDATE ${a} SET v = v + 1 WHERE ${some}; DELETE FROM ${b} WHERE id = ${low}`);
  }
}
