//! `kill -9` at each named point of a job's life: just before a call reaches the database, and just
//! after the database has done what was asked. The server does not hear of the death: the dead
//! executor's connections stay open.

use super::{Far, completes, slow_model, wait_stored};
use crate::steps::enqueue_quests;
use pg_worker_tests::wait::wait_for;
use pg_worker_tests::{BOUND, Executor, Reply, Session, StubLlm, Trap};

const ITEMS: i64 = 4;

/// A call that an executor makes in the course of a job.
#[derive(Clone, Copy, PartialEq)]
enum Call {
    Lease,
    NextItem,
    Store,
    Beat,
    Complete,
    /// After SIGTERM.
    Release,
}

impl Call {
    fn function(self) -> &'static str {
        match self {
            Call::Lease => "worker.lease_jobs",
            Call::NextItem => "worker.next_item",
            Call::Store => "worker.store_item",
            Call::Beat => "worker.heartbeat",
            Call::Complete => "worker.complete_job",
            Call::Release => "worker.release_job",
        }
    }
}

/// Kills an executor at that point, and has another one finish the job in so many attempts in all.
fn killed_at(call: Call, trap: Trap, attempts: i64) {
    let (mut far, model) = (Far::new(), slow_model());
    nobody_watches(&mut far.session);
    let victim = far.executor(&model).env("WORKER_LEASE_SECONDS", "5");
    if call == Call::Lease {
        far.proxy.trap(call.function(), trap);
    }
    let victim = victim.start();
    let job = enqueue_quests(&mut far.session, ITEMS as i32);
    if call != Call::Lease {
        wait_stored(&mut far.session, job, 1);
        far.proxy.trap(call.function(), trap);
    }
    if call == Call::Beat {
        // So that the job lasts until the beat.
        model.answers(|_| Reply::Stall);
    }
    if call == Call::Release {
        victim.signal(libc::SIGTERM);
    }
    wait_for("the call is on its way", BOUND, || {
        (far.proxy.trapped() == 1).then_some(())
    });
    victim.kill();
    model.answers(|_| Reply::Good);
    let _heir = Executor::on(&far.database).model(&model).start();
    completes(&mut far.session, job, ITEMS, attempts);
}

/// So that it is the lease's end, always, that tells of an executor's: which attempt is charged is then no
/// question of which of the two is noticed first.
fn nobody_watches(session: &mut Session) {
    session.run(
        "create or replace function worker.show_presence(p_executor uuid) returns boolean language sql return false",
    );
}

/// Both sides of a call, in so many attempts when it is lost and when it was done.
fn killed_around(call: Call, before: i64, after: i64) {
    std::thread::scope(|scope| {
        scope.spawn(move || killed_at(call, Trap::HoldRequest, before));
        killed_at(call, Trap::HoldAnswer, after);
    });
}

#[test]
fn killed_around_the_lease() {
    killed_around(Call::Lease, 1, 2);
}

#[test]
fn killed_around_the_question_what_to_write() {
    killed_around(Call::NextItem, 2, 2);
}

#[test]
fn killed_around_a_store() {
    killed_around(Call::Store, 2, 2);
}

#[test]
fn killed_around_a_beat() {
    killed_around(Call::Beat, 2, 2);
}

#[test]
fn killed_around_the_completion() {
    killed_around(Call::Complete, 2, 1);
}

#[test]
fn killed_around_the_release_of_a_polite_end() {
    killed_around(Call::Release, 2, 1);
}

#[test]
fn killed_while_the_model_writes() {
    let (mut far, model) = (Far::new(), StubLlm::start());
    nobody_watches(&mut far.session);
    model.script([Reply::Good, Reply::Stall]);
    let victim = far.executor(&model).env("WORKER_LEASE_SECONDS", "5").start();
    let job = enqueue_quests(&mut far.session, ITEMS as i32);
    wait_stored(&mut far.session, job, 1);
    wait_for("the second item is being written", BOUND, || {
        (model.in_flight() == 1).then_some(())
    });
    victim.kill();
    let _heir = Executor::on(&far.database).model(&model).start();
    completes(&mut far.session, job, ITEMS, 2);
}
