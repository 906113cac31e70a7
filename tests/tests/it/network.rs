//! Networks that break in the middle of a job: connections that are cut, sockets that stay open and
//! say nothing, answers that are lost after the server has done its work.

mod points;
mod shipped;

use crate::steps::{enqueue_quests, of_job, status};
use pg_worker_tests::executor::Setup;
use pg_worker_tests::wait::wait_for;
use pg_worker_tests::{BOUND, Cluster, Database, Executor, Proxy, Reply, Session, StubLlm, Trap};
use std::time::Duration;
use uuid::Uuid;

/// With a background worker, so that leases that ran out are rescued, and no refills.
fn at_rest() -> Database<'static> {
    let database = Database::empty(Cluster::live());
    database
        .session()
        .run("create extension pg_worker_ext; update content_pools set enabled = false");
    database
}

/// About a fifth of a second for an item.
fn slow_model() -> StubLlm {
    let model = StubLlm::start();
    model.answers(|_| Reply::Slow(Duration::from_millis(10)));
    model
}

/// The database as it is reached through a proxy.
struct Far {
    database: Database<'static>,
    session: Session,
    proxy: Proxy,
}

impl Far {
    fn new() -> Far {
        let database = at_rest();
        let (session, proxy) = (database.session(), Proxy::start(database.cluster().port()));
        Far {
            database,
            session,
            proxy,
        }
    }

    /// One item at a time, and little patience with the database.
    fn executor(&self, model: &StubLlm) -> Setup {
        Executor::on(&self.database)
            .env("DATABASE_URL", &self.proxy.in_front_of(&self.database.url()))
            .env("WORKER_DATABASE_TIMEOUT", "1")
            .env("WORKER_MAX_IN_FLIGHT", "1")
            .model(model)
    }
}

/// One item at a time with a model behind the proxy, and little patience with it.
fn executor_with_far_model(database: &Database, model: &StubLlm, proxy: &Proxy) -> Setup {
    Executor::on(database)
        .env("WORKER_MAX_IN_FLIGHT", "1")
        .env("WORKER_FIRST_TOKEN_TIMEOUT", "1")
        .env("WORKER_TOKEN_TIMEOUT", "1")
        .env("LOCAL_LLM_ENDPOINT", &proxy.in_front_of(&model.url()))
}

#[track_caller]
fn wait_stored(session: &mut Session, job: Uuid, count: i32) {
    session.wait_until_true(
        &format!("select stored >= {count} from worker_jobs where id = '{job}'"),
        BOUND,
    );
}

/// The job is completed with just so many items, and took so many attempts.
#[track_caller]
fn completes(session: &mut Session, job: Uuid, items: i64, attempts: i64) {
    wait_for("the job is completed", 2 * BOUND, || {
        let (now, reason) = (status(session, job), of_job(session, job, "error_message"));
        assert!(now != "failed" && now != "cancelled", "{now}: {reason:?}");
        (now == "completed").then_some(())
    });
    let account = of_job(session, job, "row(asked, stored, attempts)").expect("a row");
    assert_eq!(account, format!("({items},{items},{attempts})"));
    let ledger = format!("worker.items where job_id = '{job}'");
    assert_eq!(session.count(&ledger), items);
    let pool = format!("quest_templates where provenance ->> 'job_id' = '{job}'");
    assert_eq!(session.count(&pool), items);
}

#[test]
fn a_cut_database_connection_costs_no_attempt_and_no_item() {
    let (mut far, model) = (Far::new(), slow_model());
    let _executor = far.executor(&model).start();
    let job = enqueue_quests(&mut far.session, 6);
    for stored in 1..5 {
        wait_stored(&mut far.session, job, stored);
        far.proxy.cut();
    }
    completes(&mut far.session, job, 6, 1);
}

#[test]
fn a_half_open_database_connection_is_given_up_and_the_job_goes_on() {
    let (mut far, model) = (Far::new(), slow_model());
    let _executor = far.executor(&model).start();
    let job = enqueue_quests(&mut far.session, 5);
    for stored in [1, 3] {
        wait_stored(&mut far.session, job, stored);
        far.proxy.half_open();
    }
    completes(&mut far.session, job, 5, 1);
}

#[test]
fn a_database_that_cannot_be_reached_for_a_while_costs_nothing() {
    let (mut far, model) = (Far::new(), slow_model());
    let executor = far.executor(&model).start();
    let job = enqueue_quests(&mut far.session, 4);
    wait_stored(&mut far.session, job, 1);
    far.proxy.refuse(true);
    far.proxy.cut();
    wait_for("the executor says so", BOUND, || {
        let health: serde_json::Value = executor.health().json();
        (health["state"] == "paused").then_some(())
    });
    far.proxy.refuse(false);
    completes(&mut far.session, job, 4, 1);
}

/// What was sent before the silence arrives after it, when the executor has long since asked again.
#[test]
fn what_arrives_late_is_not_done_twice() {
    let (mut far, model) = (Far::new(), slow_model());
    let executor = far.executor(&model).start();
    let job = enqueue_quests(&mut far.session, 5);
    wait_stored(&mut far.session, job, 1);
    far.proxy.freeze();
    wait_for("the executor says so", BOUND, || {
        let health: serde_json::Value = executor.health().json();
        (health["state"] == "paused").then_some(())
    });
    far.proxy.thaw();
    completes(&mut far.session, job, 5, 1);
}

#[test]
fn an_answer_that_is_lost_after_the_commit_is_asked_for_again() {
    for verb in ["store_item", "complete_job", "next_item", "heartbeat"] {
        let (mut far, model) = (Far::new(), slow_model());
        let _executor = far.executor(&model).env("WORKER_LEASE_SECONDS", "5").start();
        let job = enqueue_quests(&mut far.session, 12);
        wait_stored(&mut far.session, job, 1);
        far.proxy.trap(&format!("worker.{verb}"), Trap::LoseAnswer);
        completes(&mut far.session, job, 12, 1);
        assert_eq!(far.proxy.trapped(), 1, "{verb}");
        assert_eq!(
            model.chats().len(),
            12,
            "{verb}: what was written is not thrown away"
        );
    }
}

#[test]
fn a_lease_whose_answer_was_lost_is_nobodys_until_it_ends() {
    let (mut far, model) = (Far::new(), slow_model());
    far.proxy.trap("worker.lease_jobs", Trap::LoseAnswer);
    let job = enqueue_quests(&mut far.session, 2);
    let _executor = far.executor(&model).env("WORKER_LEASE_SECONDS", "5").start();
    completes(&mut far.session, job, 2, 2);
    assert_eq!(far.proxy.trapped(), 1);
}

#[test]
fn a_cut_connection_to_the_model_costs_no_attempt() {
    let (database, model) = (at_rest(), slow_model());
    let proxy = Proxy::start(model.port());
    let mut session = database.session();
    let _executor = executor_with_far_model(&database, &model, &proxy).start();
    let job = enqueue_quests(&mut session, 4);
    wait_stored(&mut session, job, 1);
    wait_for("an item is being written", BOUND, || {
        (model.in_flight() == 1).then_some(())
    });
    proxy.cut();
    completes(&mut session, job, 4, 1);
    assert!(model.chats().len() > 4, "the item was asked for again");
}

#[test]
fn a_half_open_connection_to_the_model_costs_no_attempt() {
    let (database, model) = (at_rest(), slow_model());
    let proxy = Proxy::start(model.port());
    let mut session = database.session();
    let _executor = executor_with_far_model(&database, &model, &proxy).start();
    let job = enqueue_quests(&mut session, 4);
    wait_stored(&mut session, job, 1);
    wait_for("an item is being written", BOUND, || {
        (model.in_flight() == 1 && proxy.connections() > 0).then_some(())
    });
    proxy.half_open();
    completes(&mut session, job, 4, 1);
    assert!(model.chats().len() > 4, "the item was asked for again");
}
