//! Any call that a hostile role may come up with, as a text of SQL, by seed.

use super::values;
use pg_worker_tests::Session;
use pg_worker_tests::dice::Dice;
use proptest::strategy::{Strategy, ValueTree};
use proptest::test_runner::{Config, RngAlgorithm, TestRng, TestRunner};
use std::collections::HashMap;

/// So many values of each type are made at a time.
const VALUES: usize = 200;

struct Function {
    name: String,
    types: Vec<String>,
    allowed: bool,
    trigger: bool,
    strict: bool,
}

/// A right on a table or view of ours, and whether the role has it.
struct Right {
    table: String,
    first_column: String,
    right: String,
    has: bool,
}

/// What one role may think of.
pub struct Calls {
    functions: Vec<Function>,
    rights: Vec<Right>,
    values: HashMap<String, Vec<Option<String>>>,
    pub dice: Dice,
    runner: TestRunner,
}

impl Calls {
    pub fn of(watcher: &mut Session, role: &str, seed: u64) -> Calls {
        let mut bytes = [0; 32];
        bytes[..8].copy_from_slice(&seed.to_le_bytes());
        let rng = TestRng::from_seed(RngAlgorithm::ChaCha, &bytes);
        Calls {
            functions: functions(watcher, role),
            rights: rights(watcher, role),
            values: HashMap::new(),
            dice: Dice::new(seed),
            runner: TestRunner::new_with_rng(Config::default(), rng),
        }
    }

    /// From now on other values.
    pub fn freshen(&mut self) {
        self.values.clear();
    }

    /// A call, and whether it must fail.
    pub fn any_call(&mut self) -> (String, bool) {
        match self.dice.between(0, 99) {
            0..20 => self.trigger(),
            20..35 => self.table(),
            _ => self.function(),
        }
    }

    fn function(&mut self) -> (String, bool) {
        // Of what is forbidden one in ten, of what takes long one in thirty.
        let n = loop {
            let n = self.dice.between(0, self.functions.len() as u64 - 1) as usize;
            let function = &self.functions[n];
            let fits = function.allowed || self.dice.percent(10);
            if fits && (!is_long(&function.name) || self.dice.percent(3)) {
                break n;
            }
        };
        let (name, types) = (self.functions[n].name.clone(), self.functions[n].types.clone());
        let values: Vec<Option<String>> = types.iter().map(|of| self.value(of)).collect();
        // A strict one is not even asked for with a NULL.
        let asked = !self.functions[n].strict || values.iter().all(Option::is_some);
        let arguments: Vec<String> = types
            .iter()
            .zip(values)
            .map(|(of, value)| format!("{}::{of}", literal(value)))
            .collect();
        let denied = asked && !self.functions[n].allowed;
        (format!("select * from {name}({})", arguments.join(", ")), denied)
    }

    fn value(&mut self, of: &str) -> Option<String> {
        if !self.values.contains_key(of) {
            let strategy = values::of_type(of);
            let value = |_| strategy.new_tree(&mut self.runner).expect("a value").current();
            let some = (0..VALUES).map(value).collect();
            self.values.insert(of.to_owned(), some);
        }
        let n = self.dice.between(0, VALUES as u64 - 1) as usize;
        self.values[of][n].clone()
    }

    /// One of our trigger functions on a table of the role's own.
    fn trigger(&mut self) -> (String, bool) {
        let triggers: Vec<usize> = (0..self.functions.len())
            .filter(|n| self.functions[*n].trigger)
            .collect();
        let function = &self.functions[self.dice.one_of(&triggers)];
        let (name, denied) = (function.name.clone(), !function.allowed);
        let columns = self.dice.one_of(&[
            "a int",
            "status text default 'pending', job_type text default 'generate_quests', parameters jsonb default '{}', id uuid",
            "status bigint default 77777777, job_type bigint default 7777777, parameters bigint default 7777777, kind bigint default 777777",
            "kind text default 'quest', run_at text default 'x', priority jsonb default '{}', status boolean default true",
            "like_of_none point, status int[] default '{1}', job_type xml, kind name default 'quest', parameters text default '{'",
        ]);
        let when = self.dice.one_of(&["before", "after"]);
        let event = self.dice.one_of(&[
            "insert",
            "update",
            "delete",
            "truncate",
            "insert or update or delete",
        ]);
        let level = self.dice.one_of(&["row", "statement"]);
        let with = self
            .dice
            .one_of(&["", "'jobs'", "'pools'", "''", "'x', 'y', 'z'"]);
        let table = self.dice.one_of(&[
            "create temp table t ($)",
            "create temp table t ($) on commit delete rows",
        ]);
        let call = format!(
            "{}; create trigger t {when} {event} on t for each {level} execute function {name}({with});
             insert into t default values; insert into t default values; update t set {} = default; delete from t; truncate t; drop table t",
            table.replace('$', columns),
            columns.split(' ').next().expect("a column")
        );
        (call, denied)
    }

    /// A table or view of ours, with a right that the role has or has not.
    fn table(&mut self) -> (String, bool) {
        let n = self.dice.between(0, self.rights.len() as u64 - 1) as usize;
        let Right {
            table,
            first_column,
            right,
            has,
        } = &self.rights[n];
        let call = match right.as_str() {
            "select" => format!("select * from {table}"),
            "insert" => format!("insert into {table} select * from {table}"),
            "update" => format!("update {table} set {first_column} = {first_column}"),
            "delete" => format!("delete from {table}"),
            "truncate" => format!("truncate {table}"),
            "references" => format!("create temp table r (x uuid references {table})"),
            "trigger" => format!("create trigger t before insert on {table} execute function worker.wake()"),
            _ => self
                .dice
                .one_of(&[
                    "alter table $ add x int",
                    "drop table $ cascade",
                    "create policy x on $",
                    "alter table $ disable row level security",
                    "comment on table $ is 'mine'",
                    "alter table $ owner to current_user",
                    "create index on $ ((1))",
                    "create rule r as on insert to $ do nothing",
                ])
                .replace('$', table),
        };
        (call, !*has)
    }
}

fn literal(value: Option<String>) -> String {
    value.map_or_else(
        || "null".to_owned(),
        |text| format!("'{}'", text.replace('\'', "''")),
    )
}

/// Those that look at, or write, everything that is ours.
fn is_long(name: &str) -> bool {
    let long = [
        "setup",
        "add_kind",
        "drop_kind",
        "give_",
        "close_",
        "grant_",
        "put_kind",
        "take_",
        "reshape",
        "former",
    ];
    long.iter().any(|part| name.contains(part))
}

fn functions(watcher: &mut Session, role: &str) -> Vec<Function> {
    let sql = "
        select format('%I.%I', n.nspname, p.proname),
               array(select format_type(t.type, null) from unnest(p.proargtypes) with ordinality t(type, n) order by t.n),
               has_function_privilege($1::text::name, p.oid, 'execute') and has_schema_privilege($1::text::name, n.oid, 'usage'),
               p.prorettype = 'trigger'::regtype, p.proisstrict
          from worker.our_functions() f join pg_proc p on p.oid = f join pg_namespace n on n.oid = p.pronamespace
         -- These make statements of the texts that they are given, for setup() alone.
         where p.proname not in ('run_all', 'reshape', 'fill_and_demand', 'take_up_former') order by 1, 2";
    let rows = watcher.rows(sql, &[&role]);
    let function = |row: &postgres::Row| Function {
        name: row.get(0),
        types: row.get(1),
        allowed: row.get(2),
        trigger: row.get(3),
        strict: row.get(4),
    };
    rows.iter().map(function).collect()
}

fn rights(watcher: &mut Session, role: &str) -> Vec<Right> {
    let sql = "
        select r::text, (select quote_ident(attname) from pg_attribute where attrelid = r and attnum = 1), p,
               case when p = 'own' then pg_has_role($1::text::name, c.relowner, 'usage')
                    else has_table_privilege($1::text::name, r, p)
                      or p in ('select', 'insert', 'update', 'references') and has_any_column_privilege($1::text::name, r, p) end
               and has_schema_privilege($1::text::name, c.relnamespace, 'usage')
          from (select worker.our_relations() union select 'public.secrets') x(r) join pg_class c on c.oid = r
         cross join unnest(array['select', 'insert', 'update', 'delete', 'truncate', 'references', 'trigger', 'own']) p
         where p <> 'own' or c.relkind = 'r' order by 1, 3";
    let rows = watcher.rows(sql, &[&role]);
    let right = |row: &postgres::Row| Right {
        table: row.get(0),
        first_column: row.get(1),
        right: row.get(2),
        has: row.get(3),
    };
    rows.iter().map(right).collect()
}
