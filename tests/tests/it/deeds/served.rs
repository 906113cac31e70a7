//! Deeds that stand, in a database that a background worker serves, with every verb committed over them. The
//! database next door goes on being served.

use super::cells::{Account, after_crash, is_trouble};
use super::list::{self, Deed};
use super::prepared::{self, GAME, GPU, Install, OWNER};
use super::verbs::VERBS;
use pg_worker_tests::session::words;
use pg_worker_tests::wait::wait_for;
use pg_worker_tests::{BOUND, Cluster, Session};

/// Tries one of `share` of all deeds.
pub fn served(share: usize) -> Account {
    let cluster = Cluster::own(&["pg_worker_ext.tick_interval = 1"]);
    prepared::make_roles(&cluster);
    for name in ["template_game", "neighbour"] {
        prepared::prepare(&cluster, name, Install::Extension);
    }
    let mut session = cluster.session("template_game");
    let tables = prepared::tables(&mut session);
    let ours = prepared::trigger_functions(&mut session);
    drop(session);
    // Nobody may sit in what is copied.
    let mut admin = cluster.session("postgres");
    admin.run("alter database template_game allow_connections false");
    let sitting =
        "select count(pg_terminate_backend(pid)) from pg_stat_activity where datname = 'template_game'";
    admin.wait_until_true(&format!("select ({sitting}) = 0"), BOUND);
    let mut account = Account::default();
    for deed in list::deeds(&tables, &ours).iter().step_by(share) {
        try_deed(&cluster, deed, &mut account);
    }
    account
}

fn try_deed(cluster: &Cluster, deed: &Deed, account: &mut Account) {
    account.deeds += 1;
    let crashes = crashes(cluster);
    let mut admin = after_crash(&cluster.config("postgres"));
    admin.run("create database game template template_game owner keeper");
    let session = |role: &str| after_crash(cluster.config("game").user(role));
    let mut owner = session(OWNER);
    if owner
        .batch_execute(&format!("begin; {}; commit", deed.sql))
        .is_err()
    {
        account.impossible += 1;
    }
    let _ = owner.batch_execute("rollback");
    if let Some(held) = &deed.held {
        owner.run(&format!("begin; {held}"));
    }
    for role in [GAME, GPU, OWNER] {
        let mut session = session(role);
        if deed.held.is_some() {
            session.run("set lock_timeout = '40ms'");
        }
        for verb in VERBS.iter().filter(|verb| verb.role == role && !verb.is_long()) {
            account.cells += 1;
            if let Err(error) = session.batch_execute(verb.sql) {
                let code = error.code().map_or("gone", |code| code.code()).to_owned();
                if is_trouble(&code) {
                    account
                        .troubles
                        .push(format!("{} after {}: {}", verb.name, deed.told(), words(&error)));
                }
                *account.errors.entry(code).or_default() += 1;
            }
            if session.is_closed() {
                break;
            }
        }
    }
    neighbour_is_served(cluster);
    let crashed = self::crashes(cluster) - crashes;
    if crashed > 0 {
        account.crashes += crashed;
        account
            .troubles
            .push(format!("{crashed} crashes after {}", deed.told()));
    }
    let mut admin = after_crash(&cluster.config("postgres"));
    admin.run("drop database game with (force)");
}

/// The background worker does a pool check there.
fn neighbour_is_served(cluster: &Cluster) {
    let config = cluster.config("neighbour");
    wait_for("the database next door is served", BOUND, || {
        let mut session = Session::try_open(&config).ok()?;
        let asked = "select coalesce(schedule_pool_check(), (select id from worker_jobs where job_type = 'check_all_pools' and status = 'pending'))";
        let job: Option<uuid::Uuid> = session.query_one(asked, &[]).ok()?.get(0);
        let job = job?;
        let done = "select status = 'completed' from worker_jobs where id = $1";
        // A crash meanwhile begins it anew.
        wait_for("the pool check is done", BOUND, || {
            match session.query_one(done, &[&job]) {
                Ok(row) => row.get::<_, bool>(0).then_some(Some(())),
                Err(_) => Some(None),
            }
        })
    });
}

/// How many processes of the server have died so far.
fn crashes(cluster: &Cluster) -> usize {
    cluster.log().matches("was terminated by signal").count()
}
