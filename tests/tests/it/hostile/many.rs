//! Hostile calls by the hundred thousand: of every function of ours, allowed or not, of our trigger functions in
//! every form, and of tables that are out of one's lists; by the owner, a backend, an executor and a reader.

use super::any::Calls;
use crate::deeds::after_crash;
use crate::model::setting;
use pg_worker_tests::session::words;
use pg_worker_tests::{Cluster, Session, paths};

const RUN: &str = include_str!("run.sql");

/// The owner of the tables, a game's backend, an executor, and one who only looks.
const ROLES: [&str; 4] = ["hostile_owner", "hostile_game", "hostile_gpu", "hostile_reader"];
const VIEWS: &str = "content_pool_status, worker_queue_status, worker_executors, worker_costs";

const AT_ONCE: usize = 250;
/// After so many calls their values are made anew.
const FRESH_VALUES: usize = 20_000;

/// Whom something of ours is open to, and what must never change by what he does. The owner may give his own away.
const RIGHTS: &str = "
    select concat_ws(E'\n',
      (select string_agg(concat(rolname, rolsuper, rolcreaterole, rolcreatedb, rolbypassrls, rolreplication), ',' order by rolname) from pg_roles),
      (select string_agg(concat(roleid, '>', member), ',' order by roleid, member) from pg_auth_members),
      (select string_agg(secret, ',') from public.secrets), (select relacl::text from pg_class where oid = 'public.secrets'::regclass),
      pg_postmaster_start_time(),
      case when not $1 then (select md5(string_agg(concat(oid, proowner, proacl, prosecdef, proconfig, prosrc), ',' order by oid))
         from pg_proc where pronamespace in ('public'::regnamespace, 'worker'::regnamespace)) end,
      case when not $1 then (select md5(string_agg(concat(oid, relname, relowner, relacl, relrowsecurity), ',' order by oid))
         from pg_class where relnamespace in ('public'::regnamespace, 'worker'::regnamespace)) end,
      case when not $1 then (select md5(string_agg(concat(polrelid, polname, polroles), ',' order by oid)) from pg_policy) end)";

/// One role in a database of its own.
struct Attacker<'c> {
    role: &'static str,
    cluster: &'c Cluster,
    database: String,
    calls: Calls,
    session: Session,
    watcher: Session,
    made: usize,
}

fn prepare(cluster: &Cluster, install: &str) {
    let roles: Vec<String> = ROLES
        .iter()
        .map(|role| format!("create role {role} login"))
        .collect();
    let mut admin = cluster.session("postgres");
    admin.run(&roles.join("; "));
    for role in ROLES {
        admin.run(&format!(
            "create database for_{role} owner hostile_owner template template0"
        ));
        let mut session = cluster.session(&format!("for_{role}"));
        session.run("grant all on schema public to hostile_owner");
        if install == "extension" {
            session.run("set pg_worker_ext.owner = 'hostile_owner'; create extension pg_worker_ext");
        } else {
            let file = paths::read("sql/pg_worker_ext.sql");
            Session::open(cluster.config(&format!("for_{role}")).user("hostile_owner")).run(&file);
        }
        session.run(RUN);
        session.run(&format!(
            "set session authorization hostile_owner;
             select worker.grant_backend('hostile_game'), worker.grant_executor('hostile_gpu');
             grant select on {VIEWS} to hostile_reader;
             select enqueue_worker_job('generate_quests', '{{\"count\": 1000}}');
             update worker_jobs set id = '00000000-0000-4000-8000-000000000001', max_attempts = 100, status = 'running',
                    lease_token = '00000000-0000-4000-8000-000000000001', lease_expires_at = now() + interval '1 day'"
        ));
    }
}

impl<'c> Attacker<'c> {
    fn new(cluster: &'c Cluster, role: &'static str, seed: u64) -> Attacker<'c> {
        let database = format!("for_{role}");
        let mut watcher = after_crash(&cluster.config(&database));
        let number = ROLES
            .iter()
            .position(|known| *known == role)
            .expect("a role of ours") as u64;
        Attacker {
            role,
            cluster,
            calls: Calls::of(&mut watcher, role, seed * 10 + number),
            session: session(cluster, &database, role),
            watcher,
            database,
            made: 0,
        }
    }

    fn is_owner(&self) -> bool {
        self.role == "hostile_owner"
    }

    /// So many calls; what is wrong after them.
    fn attack(&mut self, calls: usize) -> Vec<String> {
        let mut troubles = Vec::new();
        while self.made < calls && troubles.len() < 20 {
            if self.made.is_multiple_of(FRESH_VALUES) {
                self.calls.freshen();
            }
            let batch: Vec<(String, bool)> = (0..AT_ONCE).map(|_| self.calls.any_call()).collect();
            self.made += AT_ONCE;
            let before = self.rights();
            troubles.extend(self.run(&batch));
            if self.session.is_closed() {
                troubles.push(self.which_crashes(&batch));
                break;
            }
            let now = self.rights();
            if before != now {
                troubles.push(format!(
                    "before:\n{before}\nnow:\n{now}\nafter:\n{}",
                    listed(&batch)
                ));
            }
        }
        troubles
    }

    fn rights(&mut self) -> String {
        let owner = self.is_owner();
        self.watcher.value(RIGHTS, &[&owner])
    }

    /// Most of what is done is taken back, so that there is something to break to the end.
    fn run(&mut self, batch: &[(String, bool)]) -> Vec<String> {
        let (calls, denied): (Vec<&str>, Vec<bool>) = batch
            .iter()
            .map(|(call, denied)| (call.as_str(), *denied))
            .unzip();
        let keeps = self.calls.dice.percent(if self.is_owner() { 5 } else { 30 });
        let _ = self.session.batch_execute("begin");
        let answers = self
            .session
            .query("select * from hostile.run($1, $2)", &[&calls, &denied]);
        let troubles = match answers {
            Ok(rows) => rows.iter().map(|row| trouble(batch, row)).collect(),
            Err(error) => vec![format!("{}: {}", self.role, words(&error))],
        };
        let end = if keeps { "commit" } else { "rollback" };
        match self.session.batch_execute(end) {
            Err(error) if keeps && !self.session.is_closed() => {
                let code = error.code().map_or("", |code| code.code());
                if code.starts_with("XX") {
                    return vec![format!("{}: at commit: {}", self.role, words(&error))];
                }
            }
            _ => {}
        }
        troubles
    }

    /// Each call by itself, until the session is gone.
    fn which_crashes(&mut self, batch: &[(String, bool)]) -> String {
        let config = self.cluster.config(&self.database).user(self.role).clone();
        let mut session = after_crash(&config);
        for (call, _) in batch {
            let _ = session.batch_execute(call);
            if session.is_closed() {
                return format!("{}: the session is gone after {call}", self.role);
            }
        }
        format!(
            "{}: the session is gone after one of {}",
            self.role,
            listed(batch)
        )
    }
}

fn trouble(batch: &[(String, bool)], row: &postgres::Row) -> String {
    let n: i32 = row.get(0);
    {
        let call: String = batch[n as usize - 1].0.chars().take(600).collect();
        format!("{} {}: {call}", row.get::<_, String>(1), row.get::<_, String>(2))
    }
}

fn listed(batch: &[(String, bool)]) -> String {
    let calls: Vec<&str> = batch.iter().map(|(call, _)| call.as_str()).collect();
    calls.join("\n")
}

fn session(cluster: &Cluster, database: &str, role: &str) -> Session {
    let mut session = after_crash(cluster.config(database).user(role));
    session.run("set statement_timeout = '120s'; set client_min_messages = error; set lock_timeout = '1s'");
    session
}

/// All roles in turn, each with a quarter of the calls.
fn many(install: &str, calls: usize) {
    let seed = setting("HOSTILE_SEED", 11);
    let settings: &[&str] = &["pg_worker_ext.background_worker = off"];
    let cluster = if install == "extension" {
        Cluster::own(settings)
    } else {
        Cluster::start(&[])
    };
    prepare(&cluster, install);
    let mut troubles = Vec::new();
    let mut made = 0;
    for role in ROLES {
        let mut attacker = Attacker::new(&cluster, role, seed);
        troubles.extend(attacker.attack(calls.div_ceil(ROLES.len())));
        made += attacker.made;
    }
    let crashes = cluster.log().matches("was terminated by signal").count();
    println!(
        "{install}, seed {seed}: {made} hostile calls, {crashes} crashes, {} troubles",
        troubles.len()
    );
    assert!(
        troubles.is_empty() && crashes == 0,
        "seed {seed}, {crashes} crashes:\n{}",
        troubles.join("\n")
    );
}

#[test]
fn many_calls_break_nothing_and_give_no_right() {
    many("extension", 4_000);
}

#[test]
fn many_calls_break_nothing_without_the_extension() {
    many("file", 2_000);
}

#[test]
#[ignore = "a million calls take hours: scripts/suites/hostile.sh"]
fn a_million_calls_break_nothing() {
    many("extension", setting("HOSTILE_CALLS", 1_000_000) as usize / 2);
}

#[test]
#[ignore = "a million calls take hours: scripts/suites/hostile.sh"]
fn a_million_calls_break_nothing_without_the_extension() {
    many("file", setting("HOSTILE_CALLS", 1_000_000) as usize / 2);
}
