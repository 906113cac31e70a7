//! What an owner may do to his own tables, made from the catalog: for every table, every column, every
//! trigger function of ours and every function that a game might hang onto them.

use super::prepared::{Column, Table};

/// One deed, in SQL. `held`: what another session of the owner's does and keeps open meanwhile.
#[derive(Clone, Debug)]
pub struct Deed {
    /// The sort of it.
    pub sort: &'static str,
    pub table: String,
    pub sql: String,
    pub held: Option<String>,
}

impl Deed {
    pub fn told(&self) -> String {
        let held = self
            .held
            .as_ref()
            .map_or(String::new(), |held| format!(", beside: {held}"));
        format!("\"{}\": {}{held}", self.sort, self.sql)
    }
}

/// Types that a column may be given, each with a value for all rows.
const TYPES: [(&str, &str); 10] = [
    ("text", "'x'"),
    ("bigint", "7"),
    ("jsonb", "'{\"a\": 1}'"),
    ("boolean", "true"),
    ("bytea", "'\\x00ff'"),
    ("timestamp with time zone", "now()"),
    ("uuid", "gen_random_uuid()"),
    ("text[]", "'{x}'"),
    ("smallint", "1"),
    ("int4range", "'[1,5)'"),
];

/// What triggers may be: when, on what, for whom.
const FORMS: [&str; 8] = [
    "before insert or update or delete on $t for each row",
    "after insert or update or delete on $t for each row",
    "before insert or update or delete or truncate on $t for each statement",
    "after insert on $t referencing new table as fresh for each statement",
    "after update on $t referencing old table as former new table as fresh for each statement",
    "before update of $c on $t for each row when (new.$c is not null)",
    "after insert or update or delete on $t deferrable initially deferred for each row",
    "before insert on $t for each row",
];

/// Arguments of a trigger function of ours.
const ARGUMENTS: [&str; 5] = [
    "",
    "'jobs'",
    "'pools'",
    "'', 'more', 'than', 'one'",
    "'$1; drop table worker_jobs'",
];

const OF_THE_GAME: [&str; 5] = [
    "public.game_swallows",
    "public.game_refuses",
    "public.game_passes",
    "public.game_changes",
    "public.game_asks_for_more",
];

/// Deeds to a whole table: `$t` is its name, `$n` the name without its schema, `$c` a column of its key.
const WHOLE: &[(&str, &str)] = &[
    ("not null", "alter table $t add column game_needs integer not null default 1; alter table $t alter column game_needs drop default"),
    ("generated", "alter table $t add column game_made text generated always as ('x') stored"),
    ("identity", "alter table $t add column game_number bigint generated always as identity"),
    ("view", "alter table $t rename to game_kept; create view $t as select * from $s.game_kept"),
    ("view", "alter table $t rename to game_kept; create view $t as select distinct * from $s.game_kept"),
    ("view", "alter table $t rename to game_kept; create view $t as select * from $s.game_kept where game_raises_false()"),
    ("view", "alter table $t rename to game_kept; create view $t with (security_barrier) as select * from $s.game_kept limit 1"),
    ("materialized", "alter table $t rename to game_kept; create materialized view $t as select * from $s.game_kept"),
    ("sequence", "drop table $t cascade; create sequence $t"),
    ("partitioned", "alter table $t rename to game_kept; create table $t (like $s.game_kept including defaults) partition by hash ($c);
        create table $s.game_part partition of $t for values with (modulus 1, remainder 0); insert into $t select * from $s.game_kept"),
    ("partitioned", "alter table $t rename to game_kept; create table $t (like $s.game_kept including defaults) partition by list ($c);
        alter table $t attach partition $s.game_kept default"),
    ("partitioned", "drop table $t cascade; create table $t ($c text) partition by range ($c)"),
    ("child", "create table game_child () inherits ($t)"),
    ("child", "create table game_child () inherits ($t); insert into game_child select * from $t"),
    ("parent", "create table game_parent (like $t including defaults); alter table $t inherit game_parent"),
    ("unlogged", "alter table $t set unlogged"),
    ("renamed", "alter table $t rename to game_kept"),
    ("moved", "create schema game_schema; alter table $t set schema game_schema"),
    ("dropped", "drop table $t cascade"),
    ("replaced", "drop table $t cascade; create table $t ()"),
    ("replaced", "drop table $t cascade; create table $t ($c integer primary key)"),
    ("replaced", "alter table $t rename to game_kept; create table $t as select * from $s.game_kept"),
    ("replaced", "alter table $t rename to game_kept; create unlogged table $t (like $s.game_kept including all)"),
    ("hidden", "create temp table $n (like $t); set local search_path = pg_temp, public"),
    ("hidden", "create schema game_first; create view game_first.$n as select 1; set local search_path = game_first, public"),
    ("emptied", "delete from $t"),
    ("emptied", "truncate $t cascade"),
    ("copied", "insert into $t select * from $t"),
    ("row security", "alter table $t force row level security"),
    ("row security", "alter table $t force row level security; create policy game_none on $t as restrictive using (false)"),
    ("row security", "alter table $t force row level security; create policy game_raises on $t using (game_raises_false())"),
    ("row security", "create policy game_raises on $t as restrictive with check (game_raises_false())"),
    ("row security", "alter table $t disable row level security"),
    ("check", "alter table $t add constraint game_check check (false) not valid"),
    ("check", "alter table $t add constraint game_check check (game_raises_false()) not valid"),
    ("unique", "delete from $t a using $t b where a.ctid > b.ctid; create unique index on $t ((1))"),
    ("exclude", "delete from $t; alter table $t add exclude using gist ((int4range(1, 5)) with &&)"),
    ("rule", "create rule game_rule as on insert to $t do instead nothing"),
    ("rule", "create rule game_rule as on update to $t do instead nothing"),
    ("rule", "create rule game_rule as on delete to $t do instead nothing"),
    ("rule", "create rule game_rule as on insert to $t do also select game_raises_false()"),
    ("rule", "create rule game_rule as on update to $t do also notify game"),
    ("referenced", "create table game_refers (c $y references $t ($c)); insert into game_refers select $c from $t"),
    ("referenced", "create table game_refers (c $y references $t ($c) on delete cascade on update cascade); insert into game_refers select $c from $t"),
    ("referenced", "create table game_refers (c $y references $t ($c) deferrable initially deferred); insert into game_refers select $c from $t"),
    ("referenced", "create table game_refers (c $y not null references $t ($c) on delete set null); insert into game_refers select $c from $t"),
    ("no key", "alter table $t drop constraint $n_pkey cascade"),
    ("no triggers", "alter table $t disable trigger user"),
    ("no triggers", "alter table $t enable always trigger user"),
    ("no rights", "revoke all on $t from keeper"),
    ("no rights", "revoke all on $t from keeper_game, keeper_gpu"),
    ("publication", "create publication game_tells for table $t; alter table $t replica identity nothing"),
];

/// Deeds to one column: `$c` is it.
const COLUMN: &[(&str, &str)] = &[
    ("dropped column", "alter table $t drop column $c cascade"),
    ("renamed column", "alter table $t rename column $c to game_called"),
    (
        "null allowed",
        "alter table $t alter column $c drop not null; update $t set $c = null",
    ),
    (
        "needed",
        "update $t set $c = $v where $c is null; alter table $t alter column $c set not null; alter table $t alter column $c drop default",
    ),
    (
        "refers",
        "create table game_parent (c $y primary key); alter table $t add constraint game_fk foreign key ($c) references game_parent not valid",
    ),
];

/// Locks that another session holds.
const LOCKS: [&str; 3] = [
    "lock table $t in access exclusive mode",
    "lock table $t in share mode",
    "select 1 from $t for update",
];

/// Values that a row of the owner's may have.
fn odd_values(of: &str) -> &'static [&'static str] {
    match of {
        "text" => &[
            "''",
            "repeat('x', 10000)",
            "'{{x}} %s ''; $$'",
            "'public.worker_jobs'",
        ],
        "jsonb" => &[
            "'null'",
            "'[]'",
            "'\"x\"'",
            "'{}'",
            "'{\"count\": 5.0, \"quest\": 1}'",
        ],
        "integer" | "bigint" => &["0", "-1", "2147483647"],
        "timestamp with time zone" => &["'infinity'", "'-infinity'", "now() - interval '1 hour'"],
        "timestamp with time zone[]" => &["'{}'", "array_fill('infinity'::timestamptz, array[10])"],
        "boolean" => &["true", "false"],
        "uuid" => &["'00000000-0000-4000-8000-0000000000a1'"],
        "real" | "double precision" => &["'NaN'", "-1", "1e30"],
        "date" => &["'infinity'"],
        _ => &[],
    }
}

/// A value of a column's type that is none of the odd ones.
fn value_of(of: &str) -> &'static str {
    let known = TYPES.iter().find(|(name, _)| *name == of);
    known.map_or("'1'", |(_, value)| value)
}

/// The deed of an owner who leaves all as it is.
pub fn nothing() -> Deed {
    Deed {
        sort: "nothing",
        table: String::new(),
        sql: "select 1".to_owned(),
        held: None,
    }
}

/// All deeds, those to a table beside each other. `ours`: the trigger functions of schema worker.
pub fn deeds(tables: &[Table], ours: &[String]) -> Vec<Deed> {
    tables.iter().flat_map(|table| to(table, ours)).collect()
}

fn to(table: &Table, ours: &[String]) -> Vec<Deed> {
    let mut all: Vec<Deed> = WHOLE
        .iter()
        .map(|(sort, sql)| deed(sort, table, key(table), sql))
        .collect();
    for lock in LOCKS {
        let mut held = deed("locked", table, key(table), "set local lock_timeout = '40ms'");
        held.held = Some(filled(lock, table, key(table)));
        all.push(held);
    }
    all.extend(triggers(table, ours));
    all.extend(table.columns.iter().flat_map(|column| to_column(table, column)));
    all
}

fn to_column(table: &Table, column: &Column) -> Vec<Deed> {
    let mut all: Vec<Deed> = COLUMN
        .iter()
        .map(|(sort, sql)| deed(sort, table, column, sql))
        .collect();
    for (of, value) in TYPES.iter().filter(|(of, _)| *of != column.of) {
        let again = format!(
            "alter table $t drop column $c cascade; alter table $t add column $c {of} default {value}"
        );
        all.push(deed("another type", table, column, &again));
        let kept =
            format!("alter table $t alter column $c drop default, alter column $c type {of} using ({value})");
        all.push(deed("changed type", table, column, &kept));
    }
    let odd = odd_values(&column.of).iter();
    all.extend(odd.map(|value| deed("odd value", table, column, &format!("update $t set $c = {value}"))));
    all
}

/// Triggers with every function, in every form, before and after ours in the order of names.
fn triggers(table: &Table, ours: &[String]) -> Vec<Deed> {
    let game = OF_THE_GAME.iter().map(|function| ((*function).to_owned(), ""));
    let ours = ours.iter().zip(ARGUMENTS.iter().cycle());
    let functions: Vec<(String, &str)> = ours
        .map(|(name, with)| (name.clone(), *with))
        .chain(game)
        .collect();
    let mut all = Vec::new();
    for (at, (function, with)) in functions.iter().enumerate() {
        for (n, form) in FORMS.iter().enumerate() {
            let name = if (at + n) % 2 == 0 { "aa_first" } else { "zz_last" };
            let constraint = if form.contains("deferrable") {
                "constraint "
            } else {
                ""
            };
            let sql = format!("create {constraint}trigger {name} {form} execute function {function}({with})");
            all.push(deed("trigger", table, key(table), &sql));
        }
    }
    all
}

fn key(table: &Table) -> &Column {
    let named = table
        .key
        .first()
        .and_then(|key| table.columns.iter().find(|column| column.name == *key));
    named.unwrap_or(&table.columns[0])
}

fn deed(sort: &'static str, table: &Table, column: &Column, sql: &str) -> Deed {
    Deed {
        sort,
        table: table.name.clone(),
        sql: filled(sql, table, column),
        held: None,
    }
}

fn filled(sql: &str, table: &Table, column: &Column) -> String {
    let (schema, name) = table.name.split_once('.').expect("a schema");
    sql.replace("$t", &table.name)
        .replace("$n", name)
        .replace("$s", schema)
        .replace("$c", &column.name)
        .replace("$y", &column.of)
        .replace("$v", value_of(&column.of))
}
