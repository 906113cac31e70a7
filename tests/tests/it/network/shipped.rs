//! The same with the settings that ship, or with a short lease and everything else as it ships: a lease must
//! outlast whatever holds up the other calls.

use super::{Far, completes, slow_model, wait_stored};
use crate::steps::{enqueue_quests, of_job};
use pg_worker_tests::executor::Setup;
use pg_worker_tests::wait::wait_for;
use pg_worker_tests::{BOUND, Executor, Reply, Session, StubLlm, Trap};
use std::time::Duration;
use uuid::Uuid;

/// Nothing set but where the database and the model are.
fn as_shipped(far: &Far, model: &StubLlm) -> Setup {
    Executor::on(&far.database)
        .env("DATABASE_URL", &far.proxy.in_front_of(&far.database.url()))
        .model(model)
}

fn short_lease(far: &Far, model: &StubLlm) -> Setup {
    as_shipped(far, model).env("WORKER_LEASE_SECONDS", "10")
}

/// About a second for an item.
fn steady_model() -> StubLlm {
    let model = StubLlm::start();
    model.answers(|_| Reply::Slow(Duration::from_millis(50)));
    model
}

/// Waits until the lease was renewed once more.
#[track_caller]
fn wait_renewed(session: &mut Session, job: Uuid) {
    let before = of_job(session, job, "lease_expires_at");
    session.wait_until_true(
        &format!(
            "select lease_expires_at > '{}' from worker_jobs where id = '{job}'",
            before.expect("leased")
        ),
        BOUND,
    );
}

#[test]
fn a_half_open_connection_costs_no_lease_and_no_item_with_the_settings_that_ship() {
    let (mut far, model) = (Far::new(), steady_model());
    let _executor = as_shipped(&far, &model).env("WORKER_MAX_IN_FLIGHT", "1").start();
    let job = enqueue_quests(&mut far.session, 20);
    wait_stored(&mut far.session, job, 1);
    // So that the connection that beats is open, and half open from now on.
    wait_renewed(&mut far.session, job);
    far.proxy.half_open();
    completes(&mut far.session, job, 20, 1);
    assert_eq!(model.chats().len(), 20, "what was written is not thrown away");
}

#[test]
fn beats_do_not_wait_behind_stores() {
    let (mut far, model) = (Far::new(), slow_model());
    let _executor = short_lease(&far, &model).env("WORKER_MAX_IN_FLIGHT", "8").start();
    let job = enqueue_quests(&mut far.session, 30);
    wait_stored(&mut far.session, job, 1);
    let mut storing_waits = far.database.session();
    storing_waits.run("begin; lock table quest_templates in share mode");
    for _ in 0..4 {
        wait_renewed(&mut far.session, job);
    }
    storing_waits.run("commit");
    completes(&mut far.session, job, 30, 1);
}

#[test]
fn a_report_that_is_never_answered_delays_no_beat() {
    let (mut far, model) = (Far::new(), steady_model());
    let _executor = short_lease(&far, &model).env("WORKER_MAX_IN_FLIGHT", "1").start();
    let job = enqueue_quests(&mut far.session, 20);
    wait_stored(&mut far.session, job, 1);
    far.proxy.trap("worker.report_executor", Trap::HoldAnswer);
    wait_for("a report is never answered", BOUND, || {
        (far.proxy.trapped() == 1).then_some(())
    });
    completes(&mut far.session, job, 20, 1);
}

#[test]
fn a_rejection_whose_answer_was_lost_is_told_again() {
    let (mut far, model) = (Far::new(), slow_model());
    model.script([Reply::Text("I cannot do that.".into())]);
    far.proxy.trap("worker.reject_item", Trap::LoseAnswer);
    let executor = as_shipped(&far, &model).start();
    let job = enqueue_quests(&mut far.session, 3);
    completes(&mut far.session, job, 3, 1);
    assert_eq!(far.proxy.trapped(), 1);
    let log = executor.log();
    assert!(
        !log.contains("does not answer"),
        "nothing else stops for it: {log}"
    );
}
