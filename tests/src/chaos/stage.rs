//! The system under test with everything that can be broken about it, and the hands that break it.

use super::Plan;
use super::game::{self, Open};
use super::line::Line;
use super::schedule::Action;
use crate::cluster::{Stop, send_signal};
use crate::{Cluster, Database, Executor, Proxy, Reply, Session, StubLlm, Trap};
use chrono::{DateTime, Utc};
use std::collections::BTreeMap;
use std::time::Duration;
use uuid::Uuid;

/// Every change of a job's status or owner is written down, in the transaction that makes it. The tables may belong to
/// a role that has no rights here.
const AUDIT: &str = "
    create schema audit;
    create table audit.steps (id bigserial primary key, job uuid, was text, is_now text, token uuid, attempts int,
                              asked int, at timestamptz default clock_timestamp());
    create index on audit.steps (job, id);
    create function audit.note() returns trigger language plpgsql security definer as $$
    begin
      insert into audit.steps (job, was, is_now, token, attempts, asked)
      values (new.id, case when tg_op = 'UPDATE' then old.status end, new.status, new.lease_token, new.attempts, new.asked);
      return null;
    end $$;
    create trigger note_insert after insert on worker_jobs for each row execute function audit.note();
    create trigger note_update after update on worker_jobs for each row
      when (old.status is distinct from new.status or old.lease_token is distinct from new.lease_token)
      execute function audit.note();
    update content_pools set enabled = kind = 'quest'";

const HELD: &str = "select clock_timestamp(), j.id
    from worker_jobs j join worker.executors e on e.id = j.executor_id
   where j.status = 'running' and e.info ->> 'pid' = $1";

/// What an executor held when it was killed.
pub struct Killed {
    pub at: DateTime<Utc>,
    pub job: Uuid,
}

pub struct Stage<'c> {
    pub cluster: &'c Cluster,
    pub database: Database<'c>,
    pub watch: Line,
    pub killed: Vec<Killed>,
    /// How often each kind of fault was done.
    pub done: BTreeMap<&'static str, usize>,
    /// What an executor must never do.
    pub misdeeds: Vec<String>,
    pub lease_seconds: u64,
    /// With the settings that ship, and not with short timeouts.
    shipped: bool,
    open: BTreeMap<u64, Open>,
    executors: Vec<Option<Executor>>,
    model: StubLlm,
    near_database: Proxy,
    near_model: Proxy,
}

impl<'c> Stage<'c> {
    pub fn set(cluster: &'c Cluster, plan: &Plan) -> Stage<'c> {
        let database = Database::empty(cluster);
        // One transaction: the background worker never sees pools that are not meant.
        let mut session = database.session();
        session.run(&format!("begin; create extension pg_worker_ext; {AUDIT}; commit"));
        session.run(game::KEYS);
        session.run(game::TABLES);
        session.run("select worker.setup()");
        // Finished jobs are deleted while all this goes on.
        cluster.alter_system("pg_worker_ext.retention = '5s'");
        let model = StubLlm::start();
        // About half a second for an item.
        model.answers(|_| Reply::Slow(Duration::from_millis(20)));
        let mut stage = Stage {
            cluster,
            watch: Line::to(&database),
            killed: Vec::new(),
            done: BTreeMap::new(),
            misdeeds: Vec::new(),
            executors: Vec::new(),
            lease_seconds: plan.lease_seconds,
            shipped: plan.shipped,
            open: BTreeMap::new(),
            near_database: Proxy::start(cluster.port()),
            near_model: Proxy::start(model.port()),
            model,
            database,
        };
        stage.executors = (0..plan.executors)
            .map(|number| Some(stage.executor(number)))
            .collect();
        stage
    }

    /// Every second one reaches the database through the proxy, all of them the model.
    fn executor(&self, number: usize) -> Executor {
        let direct = self.database.url();
        let url = if number % 2 == 1 {
            self.near_database.in_front_of(&direct)
        } else {
            direct
        };
        let executor = Executor::on(&self.database).env("DATABASE_URL", &url).env(
            "LOCAL_LLM_ENDPOINT",
            &self.near_model.in_front_of(&self.model.url()),
        );
        if self.shipped {
            return executor.start();
        }
        executor
            .env("WORKER_LEASE_SECONDS", &self.lease_seconds.to_string())
            .env("WORKER_FIRST_TOKEN_TIMEOUT", "2")
            .env("WORKER_TOKEN_TIMEOUT", "2")
            .env("WORKER_MAX_IN_FLIGHT", "3")
            .start()
    }

    pub fn perform(&mut self, action: Action) {
        if let Some(name) = name_of(action) {
            *self.done.entry(name).or_default() += 1;
        }
        match action {
            Action::Kill(number) => self.kill(number),
            Action::Start(number) => self.executors[number] = Some(self.executor(number)),
            Action::Freeze(number) => self.signal(number, libc::SIGSTOP),
            Action::Thaw(number) => self.signal(number, libc::SIGCONT),
            Action::TerminateExecutors => self.terminate("application_name = 'pg-worker-executor'"),
            Action::TerminateBackgroundWorker => self.terminate("backend_type like 'pg_worker_ext%'"),
            Action::KillServerProcess => self.kill_server_process(),
            Action::RestartServer => self.cluster.restart(Stop::Immediate),
            Action::CutDatabase => self.near_database.cut(),
            Action::HalfOpenDatabase => self.near_database.half_open(),
            Action::SlowDatabase(delay) => self.near_database.delay(Duration::from_millis(delay)),
            Action::LoseAnswerTo(verb) => {
                self.near_database
                    .trap(&format!("worker.{verb}"), Trap::LoseAnswer);
            }
            Action::CutModel => self.near_model.cut(),
            Action::HalfOpenModel => self.near_model.half_open(),
            Action::CloseModel => self.model.close(),
            Action::OpenModel => self.model.reopen(),
            Action::Hold(number, holding) => {
                let open = Open::begin(&self.database, holding);
                self.open.extend(open.map(|open| (number, open)));
            }
            Action::LetGo(number) => {
                if let Some(open) = self.open.remove(&number) {
                    open.commit();
                }
            }
            Action::DropGameTables => {
                self.watch.rows(game::NO_TABLES, &[]);
            }
            Action::MakeGameTables => self.make_game_tables(),
        }
    }

    fn make_game_tables(&mut self) {
        for statement in game::TABLES.split(';') {
            // A server that goes down meanwhile has made none or some of them: what builds on them is left out.
            if self.watch.rows(statement, &[]).is_none() {
                return;
            }
        }
        // As an administrator does it after his game has changed. Where somebody holds a lock it gives up, and he would
        // call it again later.
        if let Ok(mut session) = Session::try_open(&self.database.config()) {
            let _ = session.batch_execute("select worker.setup()");
        }
    }

    /// The last fault is over. What hangs at a connection that nobody will ever answer would hang for as long as a slow
    /// model may take (300 s): such connections end with the fault.
    pub fn end_faults(&mut self) {
        self.near_model.cut();
        for (_, open) in std::mem::take(&mut self.open) {
            open.commit();
        }
        self.make_game_tables();
    }

    /// What was not done in time, and what it waits for.
    pub fn note_what_is_left(&mut self) {
        let sql = "select format('%s job %s of %s, attempt %s of %s, due in %s s: %s', status, id, job_type, attempts, max_attempts,
                                 round(extract(epoch from run_at - clock_timestamp())), coalesce(error_message, 'no error'))
                     from worker_jobs where status in ('pending', 'running')
                    union all
                   select format('%s items of the pool %s are missing and nobody makes them', missing, kind)
                     from worker.pool_deficits() where missing > 0";
        let left = self.watch.column::<String>(sql, &[]);
        self.misdeeds
            .extend(left.into_iter().map(|what| format!("not done in time: {what}")));
    }

    fn kill(&mut self, number: usize) {
        let Some(executor) = self.executors[number].take() else {
            return;
        };
        self.inspect(&executor);
        let pid = executor.pid().to_string();
        // Once more where the session was of the time before a crash.
        let held = self.watch.rows(HELD, &[&pid]);
        let held = held.or_else(|| self.watch.rows(HELD, &[&pid]));
        executor.kill();
        self.killed.extend(held.iter().flatten().map(|row| Killed {
            at: row.get(0),
            job: row.get(1),
        }));
    }

    fn signal(&self, number: usize, signal: i32) {
        if let Some(executor) = &self.executors[number] {
            executor.signal(signal);
        }
    }

    fn terminate(&mut self, whom: &str) {
        let sql = format!(
            "select pg_terminate_backend(pid) from pg_stat_activity where {whom} and datname = current_database()"
        );
        self.watch.rows(&sql, &[]);
    }

    /// An executor's backend, where there is one.
    fn kill_server_process(&mut self) {
        let sql = "select pid from pg_stat_activity
                    where application_name = 'pg-worker-executor' and datname = current_database() limit 1";
        if let Some(pid) = self.watch.value::<i32>(sql, &[]) {
            send_signal(pid.cast_unsigned(), libc::SIGKILL);
        }
    }

    /// Notes what must never be: an executor that ended by itself, or reported an error of its own.
    fn inspect(&mut self, executor: &Executor) {
        let stat = std::fs::read_to_string(format!("/proc/{}/stat", executor.pid())).unwrap_or_default();
        let log = executor.log();
        if stat
            .rsplit(')')
            .next()
            .is_none_or(|rest| rest.trim_start().starts_with('Z'))
        {
            let last = log.lines().last().unwrap_or_default();
            self.misdeeds.push(format!("an executor ended by itself: {last}"));
        }
        let odd = |line: &&str| line.contains("panicked") || line.contains("internal error");
        let odd: Vec<String> = log.lines().filter(odd).map(Into::into).collect();
        self.misdeeds.extend(odd);
    }

    /// Stops all executors politely; each must follow.
    pub fn leave(&mut self) {
        for executor in std::mem::take(&mut self.executors).into_iter().flatten() {
            self.inspect(&executor);
            let status = executor.stop();
            if !status.success() {
                self.misdeeds.push(format!("an executor stopped with {status}"));
            }
        }
    }
}

/// How a fault is called in the account; none for what only ends one.
fn name_of(action: Action) -> Option<&'static str> {
    Some(match action {
        Action::Kill(_) => "executors killed",
        Action::Freeze(_) => "executors frozen beyond their lease",
        Action::TerminateExecutors => "times all executors' sessions terminated",
        Action::TerminateBackgroundWorker => "background workers terminated",
        Action::KillServerProcess => "server processes killed",
        Action::RestartServer => "immediate stops of the server",
        Action::CutDatabase => "database connections cut",
        Action::HalfOpenDatabase => "database connections half open",
        Action::SlowDatabase(delay) if delay > 0 => "times the database was slow",
        Action::LoseAnswerTo(_) => "answers to be lost",
        Action::CutModel => "model connections cut",
        Action::HalfOpenModel => "model connections half open",
        Action::CloseModel => "model servers gone",
        Action::Hold(..) => "transactions left open",
        Action::DropGameTables => "times the game's tables were dropped",
        Action::SlowDatabase(_)
        | Action::Start(_)
        | Action::Thaw(_)
        | Action::OpenModel
        | Action::LetGo(_)
        | Action::MakeGameTables => return None,
    })
}
