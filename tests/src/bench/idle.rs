//! What an idle installation costs: transactions, CPU and memory of an executor and of the background
//! worker, while nothing is asked of them and all pools are full.

use super::Bench;
use super::ground::Ground;
use crate::wait::{BOUND, wait_until};
use crate::{Executor, Session};
use std::time::{Duration, Instant};

const DONE: &str = "select sum(xact_commit + xact_rollback)::float8 from pg_stat_database where datname = $1";
const BACKGROUND: &str =
    "select pid from pg_stat_activity where backend_type like 'pg_worker_ext background%' and datname = $1";

/// Watches for half a minute for each second that the others take.
pub fn idle(bench: &mut Bench) {
    let database = Ground::database();
    let executor = Executor::on(&database).start();
    wait_until("it listens", BOUND, || {
        executor.health().body.contains("\"listening\":true")
    });
    // From another database: what watches must not be counted.
    let mut watch = Ground::cluster().session("postgres");
    let background: i32 = watch.value(BACKGROUND, &[&database.name()]);
    let pids = [
        ("executor", executor.pid()),
        ("background worker", background.cast_unsigned()),
    ];
    settle(&mut watch, database.name());
    let begun = (
        Instant::now(),
        done(&mut watch, database.name()),
        pids.map(|(_, pid)| cpu_seconds(pid)),
    );
    std::thread::sleep(Duration::from_secs(30 * bench.options.seconds));
    let seconds = begun.0.elapsed().as_secs_f64();
    let transactions = (done(&mut watch, database.name()) - begun.1) / seconds;
    bench.alone(
        "idle: transactions, executor and background worker together",
        &format!("{transactions:.2}/s"),
        "0.2–0.5/s",
    );
    for ((name, pid), before) in pids.into_iter().zip(begun.2) {
        let share = (cpu_seconds(pid) - before) / seconds * 100.0;
        let memory = private_megabytes(pid);
        bench.alone(
            &format!("idle: {name}"),
            &format!("{share:.3} % of a CPU, {memory:.1} MB of its own"),
            "7 MB",
        );
    }
    assert!(executor.stop().success());
}

/// Until two looks in a row see the same: what the start began has ended.
fn settle(watch: &mut Session, database: &str) {
    let mut before = -1.0;
    wait_until("it is quiet", BOUND, || {
        std::thread::sleep(Duration::from_secs(2));
        let now = done(watch, database);
        std::mem::replace(&mut before, now) == now
    });
}

fn done(watch: &mut Session, database: &str) -> f64 {
    watch.run("select pg_stat_clear_snapshot()");
    watch.value(DONE, &[&database])
}

/// CPU time of all threads so far.
fn cpu_seconds(pid: u32) -> f64 {
    let threads = std::fs::read_dir(format!("/proc/{pid}/task")).expect("the process lives");
    let nanoseconds = threads.filter_map(|thread| {
        let text = std::fs::read_to_string(thread.ok()?.path().join("schedstat")).ok()?;
        text.split(' ').next()?.parse::<f64>().ok()
    });
    nanoseconds.sum::<f64>() / 1e9
}

/// Memory that it shares with nobody.
fn private_megabytes(pid: u32) -> f64 {
    let text = std::fs::read_to_string(format!("/proc/{pid}/smaps_rollup")).expect("the process lives");
    let kilobytes = text
        .lines()
        .filter(|line| line.starts_with("Private_"))
        .filter_map(|line| line.split_whitespace().nth(1)?.parse::<f64>().ok());
    kilobytes.sum::<f64>() / 1024.0
}
