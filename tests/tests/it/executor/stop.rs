//! SIGTERM with nothing in hand: there is nothing to wait for, whoever does not answer just then.

use pg_worker_tests::{BOUND, Database, Executor, Proxy, Reply, StubLlm, Trap, wait_until};

/// Whoever waits for an answer now waits for longer than any test.
const LONG: [(&str, &str); 4] = [
    ("WORKER_LEASE_SECONDS", "3600"),
    ("WORKER_DATABASE_TIMEOUT", "1200"),
    ("WORKER_CONNECT_TIMEOUT", "600"),
    ("WORKER_SHUTDOWN_SECONDS", "3600"),
];

#[test]
fn a_silent_model_host_holds_up_no_end() {
    let (database, model) = (Database::quiet(), StubLlm::start());
    model.always(Reply::Hang);
    let mut setup = Executor::on(&database).model(&model);
    for (name, value) in LONG {
        setup = setup.env(name, value);
    }
    let mut executor = setup.start();
    wait_until("the host is asked", BOUND, || !model.requests().is_empty());
    executor.signal(libc::SIGTERM);
    assert!(executor.wait().success());
    let log = executor.log();
    assert!(
        !log.contains("until it answers"),
        "what the host would have said was waited for: {log}"
    );
}

#[test]
fn a_silent_database_holds_up_no_end() {
    for function in [
        "worker.contract_version",
        "worker.lease_jobs",
        "worker.report_executor",
    ] {
        let database = Database::quiet();
        let proxy = Proxy::start(database.cluster().port());
        proxy.trap(function, Trap::HoldAnswer);
        let mut setup = Executor::on(&database).env("DATABASE_URL", &proxy.in_front_of(&database.url()));
        for (name, value) in LONG {
            setup = setup.env(name, value);
        }
        let executor = setup.start();
        wait_until(function, BOUND, || proxy.trapped() == 1);
        proxy.freeze();
        assert!(executor.stop().success(), "{function}");
    }
}
