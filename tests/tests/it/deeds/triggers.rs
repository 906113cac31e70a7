//! Our trigger functions on tables of the owner's own, of every sort, in every form: the statement does what it does
//! without the trigger, or a clear error says why not. A row that is gone without a word counts as trouble.

use super::cells::{Account, after_crash, is_trouble};
use super::prepared::OWNER;
use pg_worker_tests::session::words;
use pg_worker_tests::{Cluster, Session};

/// A relation `things`: how it is made, and an INSERT of one row.
struct Relation {
    made: &'static str,
    insert: &'static str,
}

const PLAIN: &str = "insert into things (a) values (1)";
const JOB: &str = "insert into things (job_type) values ('generate_quests')";
const POOL: &str = "insert into things (kind, min_size, batch_size) values ('quest', 1, 1)";
const NUMBERS: &str = "insert into things (status, kind) values (77777777, 77777777)";

const RELATIONS: &[Relation] = &[
    Relation { made: "create temp table things (a int)", insert: PLAIN },
    Relation { made: "create table things (a int, status text default 'pending', kind text, id uuid, parameters jsonb default '{}')", insert: PLAIN },
    Relation { made: "create table things (like worker_jobs including all)", insert: JOB },
    Relation { made: "create temp table things (like worker_jobs including defaults)", insert: JOB },
    Relation { made: "create table things (like content_pools including defaults)", insert: POOL },
    Relation {
        made: "create temp table things (id bigint default 77777777, job_type bigint default 77777777, parameters bigint default 77777777,
            priority bigint default 77777777, status bigint, kind bigint, run_at bigint default 77777777, dedupe_key bigint default 77777777,
            lease_token bigint default 77777777, lease_expires_at bigint default 77777777, started_at bigint default 77777777,
            completed_at bigint default 77777777, asked bigint default 77777777, attempts bigint default 77777777, max_attempts bigint)",
        insert: NUMBERS,
    },
    Relation {
        made: "create table things (id text default 'x', job_type jsonb default '{}', parameters text default 'x', priority text default 'x',
            status jsonb default '1', kind text[] default '{x}', run_at text default 'x', asked text default 'x', attempts text default 'x', a int)",
        insert: PLAIN,
    },
    Relation {
        made: "create table things (a int, status text) partition by list (a); create table things_1 partition of things default",
        insert: PLAIN,
    },
    Relation {
        made: "create table things_of_all (like worker_jobs including defaults) partition by list (job_type);
            create table things partition of things_of_all default",
        insert: JOB,
    },
    Relation { made: "create table things_above (a int, kind text); create table things () inherits (things_above)", insert: PLAIN },
    Relation { made: "create view things as select id, job_type, status from worker_jobs", insert: JOB },
    Relation { made: "create view things as select 1 as a, 'x'::text as status, 'y'::text as kind", insert: PLAIN },
    Relation { made: "create foreign table things (a int, status text) server game_loop options (table_name 'game_remote')", insert: PLAIN },
];

/// The further forms: a deferred one, tables of changed rows, a column, a condition.
const FURTHER: [&str; 4] = [
    "constraint $ after insert or update or delete on things deferrable initially deferred for each row",
    "$ after insert on things referencing new table as fresh for each statement",
    "$ after delete on things referencing old table as former for each row",
    "$ before insert or update or delete on things for each row when (true)",
];

const ARGUMENTS: [&str; 5] = [
    "",
    "'jobs'",
    "'pools'",
    "'', 'more', 'than', 'one'",
    "'jobs; drop table things'",
];

fn forms() -> Vec<String> {
    let mut forms: Vec<String> = FURTHER.iter().map(|form| (*form).to_owned()).collect();
    for when in ["before", "after", "instead of"] {
        for event in ["insert", "update", "delete", "truncate"] {
            for level in ["row", "statement"] {
                forms.push(format!("$ {when} {event} on things for each {level}"));
            }
        }
    }
    forms
}

/// A foreign table's server, where this PostgreSQL has what it takes.
fn with_foreign_server(cluster: &Cluster, database: &str) {
    let port = cluster.port();
    let made = cluster.session(database).batch_execute(&format!(
        "create extension postgres_fdw;
         create server game_loop foreign data wrapper postgres_fdw options (host '127.0.0.1', port '{port}', dbname '{database}');
         create user mapping for {OWNER} server game_loop options (user '{OWNER}', password_required 'false');
         create table game_remote (a int, status text); alter table game_remote owner to {OWNER};
         grant usage on foreign server game_loop to {OWNER}"
    ));
    if let Err(error) = made {
        println!("no foreign tables here: {error}");
    }
}

/// All cells, or the first arguments only.
pub fn triggers(cluster: &Cluster, database: &str, functions: &[String], all_arguments: bool) -> Account {
    with_foreign_server(cluster, database);
    let config = cluster.config(database).user(OWNER).clone();
    let (mut account, mut session) = (Account::default(), after_crash(&config));
    let forms = forms();
    for relation in RELATIONS {
        account.deeds += 1;
        for (n, function) in functions.iter().enumerate() {
            for (m, form) in forms.iter().enumerate() {
                let arguments: &[&str] = if all_arguments {
                    &ARGUMENTS
                } else {
                    &[ARGUMENTS[(n + m) % ARGUMENTS.len()]]
                };
                for with in arguments {
                    let trigger = format!(
                        "create {} execute function {function}({with})",
                        form.replace('$', "trigger t")
                    );
                    try_trigger(&mut session, relation, &trigger, &mut account);
                    if session.is_closed() {
                        account.crashes += 1;
                        session = after_crash(&config);
                    }
                }
            }
        }
    }
    account
}

fn try_trigger(session: &mut Session, relation: &Relation, trigger: &str, account: &mut Account) {
    account.cells += 1;
    if session
        .batch_execute(&format!("begin; {}", relation.made))
        .is_err()
    {
        account.impossible += 1;
        let _ = session.batch_execute("rollback");
        return;
    }
    let wrong = match use_with(session, relation, trigger) {
        Ok(None) => None,
        Ok(Some(gone)) => Some(gone),
        Err(error) => {
            let code = error.code().map_or("gone", |code| code.code()).to_owned();
            let wrong = is_trouble(&code).then(|| words(&error));
            *account.errors.entry(code).or_default() += 1;
            wrong
        }
    };
    if let Some(wrong) = wrong {
        account
            .troubles
            .push(format!("{}; {trigger}: {wrong}", relation.made));
    }
    let _ = session.batch_execute("rollback");
}

/// What is done to the rows with the trigger there; what was swallowed.
fn use_with(
    session: &mut Session,
    relation: &Relation,
    trigger: &str,
) -> Result<Option<String>, postgres::Error> {
    session.batch_execute(trigger)?;
    let mut expect = |sql: &str, rows: u64| {
        let changed = session.execute(sql, &[])?;
        Ok((changed != rows).then(|| format!("{sql}: {changed} rows, not {rows}")))
    };
    let is_view = relation.made.contains("view");
    let mut swallowed = expect(relation.insert, 1)?;
    if !is_view {
        // The second of two rows must find its place as the first one did.
        swallowed = swallowed.or(expect(relation.insert, 1)?);
        swallowed = swallowed.or(expect(
            &format!("update things set {0} = {0}", first_column(relation)),
            2,
        )?);
        swallowed = swallowed.or(expect("delete from things", 2)?);
    }
    session.batch_execute(if is_view {
        "set constraints all immediate"
    } else {
        "truncate things; set constraints all immediate"
    })?;
    Ok(swallowed)
}

fn first_column(relation: &Relation) -> &'static str {
    match relation.insert {
        JOB => "status",
        POOL => "enabled",
        NUMBERS => "kind",
        _ => "a",
    }
}
