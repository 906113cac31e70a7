//! Deeds × verbs: each verb in a savepoint over the deed, all of it rolled back. What is wrong with an answer.

use super::list::Deed;
use super::prepared::OWNER;
use super::verbs::{VERBS, Verb};
use pg_worker_tests::{BOUND, Cluster, Session, session::words, wait::wait_for};
use std::collections::BTreeMap;

/// What came of all cells.
#[derive(Default)]
pub struct Account {
    pub deeds: usize,
    /// Deeds that PostgreSQL itself refuses.
    pub impossible: usize,
    pub cells: usize,
    pub errors: BTreeMap<String, usize>,
    /// Of each error the first one, in words.
    pub first_words: BTreeMap<String, String>,
    pub crashes: usize,
    pub troubles: Vec<String>,
}

impl Account {
    pub fn show(&self, what: &str) {
        let errors: usize = self.errors.values().sum();
        println!(
            "{what}: {} deeds, {} of them refused by PostgreSQL, {} cells, {errors} errors {:?}, {} crashes, {} troubles",
            self.deeds,
            self.impossible,
            self.cells,
            self.errors,
            self.crashes,
            self.troubles.len()
        );
    }

    /// Panics with the first troubles where there were any.
    #[track_caller]
    pub fn is_clean(&self) {
        let some: Vec<&str> = self.troubles.iter().map(String::as_str).take(40).collect();
        assert!(
            some.is_empty(),
            "{} troubles:\n{}",
            self.troubles.len(),
            some.join("\n")
        );
    }
}

/// One who tries deeds, with a database that is his alone.
pub struct Trier<'c> {
    cluster: &'c Cluster,
    database: String,
    session: Session,
    other: Session,
    pub account: Account,
}

/// Longer than any verb takes, so that what has no bound is seen.
const PATIENCE: &str = "set statement_timeout = '10s'";

impl<'c> Trier<'c> {
    pub fn new(cluster: &'c Cluster, database: &str) -> Trier<'c> {
        let config = cluster.config(database).user(OWNER).clone();
        Trier {
            cluster,
            database: database.to_owned(),
            session: after_crash(&config),
            other: after_crash(&config),
            account: Account::default(),
        }
    }

    /// Every verb over this deed. A crash ends it.
    pub fn try_deed(&mut self, deed: &Deed) {
        self.account.deeds += 1;
        if let Some(held) = &deed.held {
            self.other.run(&format!("begin; {held}"));
        }
        if self
            .session
            .batch_execute(&format!("begin; {}", deed.sql))
            .is_err()
        {
            self.account.impossible += 1;
        } else {
            // The long ones, over some deeds of each sort.
            let long = self.account.deeds % 8 == 1;
            for verb in VERBS.iter().filter(|verb| long || !verb.is_long()) {
                if !self.try_cell(deed, verb) {
                    break;
                }
            }
        }
        if self.session.is_closed() {
            self.come_back();
        }
        self.session.run("rollback");
        if deed.held.is_some() {
            self.other.run("rollback");
        }
    }

    /// False where the session is gone.
    fn try_cell(&mut self, deed: &Deed, verb: &Verb) -> bool {
        self.account.cells += 1;
        let call = format!(
            "savepoint cell; set local role {}; {}; set constraints all immediate",
            verb.role, verb.sql
        );
        if let Err(error) = self.session.batch_execute(&call) {
            let code = error.code().map_or("gone", |code| code.code()).to_owned();
            if is_trouble(&code) {
                let cell = format!("{} after {}: {}", verb.name, deed.told(), words(&error));
                self.account.troubles.push(cell);
            }
            let first = self.account.first_words.entry(code.clone());
            first.or_insert_with(|| format!("{}: {}", verb.name, words(&error)));
            *self.account.errors.entry(code).or_default() += 1;
        }
        self.session.batch_execute("rollback to cell").is_ok()
    }

    /// After a crash: waits until the server takes sessions again.
    fn come_back(&mut self) {
        self.account.crashes += 1;
        let config = self.cluster.config(&self.database).user(OWNER).clone();
        (self.session, self.other) = (after_crash(&config), after_crash(&config));
    }
}

/// A session as soon as the server has one to give. One that is just going down may still let the first one in.
pub fn after_crash(config: &postgres::Config) -> Session {
    wait_for("the server is there", BOUND, || {
        let mut session = Session::try_open(config).ok()?;
        session.batch_execute(PATIENCE).ok()?;
        Some(session)
    })
}

/// What no deed of an owner excuses: a lost connection, an error inside of the server or of SQL that cannot be read, a
/// statement that never ends, a deadlock of one.
pub fn is_trouble(code: &str) -> bool {
    matches!(code, "gone" | "42601" | "57014" | "40P01")
        || matches!(&code[..2], "XX" | "57" | "58" | "53" | "F0")
}
