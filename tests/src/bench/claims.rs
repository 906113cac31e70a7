//! Claims beside the UPDATE by a known primary key, which is what a claim cannot do without.

use super::Bench;
use super::ground::{Ground, fill, settle};
use super::measure::{Pair, Side};
use super::pgbench::{Load, Run};
use super::report::{Figure, Unit};
use crate::Database;

const CLIENTS: u32 = 8;
const CLAIM: &str = "select * from claim_quest_from_pool(null, 1, 20);";
const CLAIM_LEVEL: &str = "select * from claim_quest_from_pool(null, 7, 7);";
/// The same row written, the same columns given; which row is known beforehand.
const UPDATE: &str = "\\set n 1 + (:base + :i * 8 + :client_id) * 7919 % :rows
    update plain_quests set used = true, used_at = now(), assigned_to_character = null, request_id = null
     where id = md5((:n)::text)::uuid
    returning id, title, description, objectives, xp_reward, gold_reward;";

/// No turn claims more than this share of a pool over all rounds: it is to stay the size that it has.
const CLAIMED_AT_MOST: f64 = 0.2;

/// Claims from pools of which nothing is used.
pub fn fresh(bench: &mut Bench) {
    let mut slow = Vec::new();
    for rows in sizes(bench.options.rows) {
        let (pair, ours) = if rows < 10_000 {
            small(bench, rows)
        } else {
            large(bench, rows)
        };
        let what = format!("claims, {CLIENTS} clients, {} unused rows", thousands(rows));
        let figure = Figure {
            what: &what,
            unit: Unit::PerSecond,
            limit: "UPDATE by known key",
            aim: "0.75",
        };
        bench.pair(&figure, &pair);
        bench
            .report
            .point("claims by unused rows", rows as f64, pair.ratio());
        slow.push(ours.latency(0.99));
    }
    let text: Vec<String> = slow.iter().map(|ms| Unit::Milliseconds.text(*ms)).collect();
    let growth = slow.last().expect("a size") / slow[0];
    let what = "p99 of a claim, from the smallest to the largest of these pools";
    bench.alone(
        what,
        &format!("{}: {growth:.2} times", text.join(", ")),
        "1.5 times",
    );
}

fn sizes(most: u64) -> Vec<u64> {
    [1000, 100_000, most]
        .into_iter()
        .filter(|rows| *rows <= most)
        .fold(Vec::new(), |mut sizes, rows| {
            if !sizes.contains(&rows) {
                sizes.push(rows);
            }
            sizes
        })
}

/// A number of rows in words.
pub fn thousands(rows: u64) -> String {
    match rows {
        _ if rows.is_multiple_of(1_000_000) => format!("{} million", rows / 1_000_000),
        _ => format!("{} thousand", rows / 1000),
    }
}

/// A pool that would be empty within the second is filled anew for every burst.
fn small(bench: &Bench, rows: u64) -> (Pair, Run) {
    let database = Ground::database();
    database.session().run(super::ground::PLAIN);
    let mut all = Run::default();
    let pair = Pair::measure(bench.options.rounds, |side| {
        let mut turn = Run::default();
        while turn.seconds < bench.options.seconds as f64 / 4.0 {
            turn.add(burst(&database, side, rows));
        }
        let figure = turn.per_second();
        if side == Side::Ours {
            all.add(turn);
        }
        figure
    });
    (pair, all)
}

/// As many claims as keep the pool about its size: it has some more before and some less after.
fn burst(database: &Database, side: Side, rows: u64) -> Run {
    let mut session = database.session();
    let each = rows / u64::from(CLIENTS) * 6 / 10;
    let most = rows + Load::all(CLIENTS, each) / 2;
    let table = if side == Side::Ours {
        "quest_templates"
    } else {
        "plain_quests"
    };
    session.run(&format!("truncate {table}"));
    fill(&mut session, table, 1, most);
    session.run(&format!("vacuum analyze {table}"));
    load(side, each, &[("base", 0), ("rows", most)]).run(database)
}

fn load<'a>(side: Side, each: u64, set: &'a [(&'a str, u64)]) -> Load<'a> {
    Load {
        script: if side == Side::Ours { CLAIM } else { UPDATE },
        clients: CLIENTS,
        each,
        set,
        bare: false,
    }
}

fn large(bench: &Bench, rows: u64) -> (Pair, Run) {
    let own;
    let database = if rows == bench.options.rows {
        bench.ground.fresh()
    } else {
        own = Ground::with_quests(rows);
        &own
    };
    let rounds = bench.options.rounds as u64;
    let affordable = (rows as f64 * CLAIMED_AT_MOST) as u64 / rounds;
    let each = affordable.min(4000 * bench.options.seconds) / u64::from(CLIENTS);
    let (mut base, mut all) = (0, Run::default());
    let pair = Pair::measure(bench.options.rounds, |side| {
        let set = [("base", base), ("rows", rows)];
        let run = load(side, each, &set).run(database);
        if side == Side::Limit {
            base += Load::all(CLIENTS, each);
            return run.per_second();
        }
        let figure = run.per_second();
        all.add(run);
        figure
    });
    (pair, all)
}

/// Claims where most, or all that fit, are used: beside the fresh pool's own figure.
pub fn drained(bench: &mut Bench) {
    let states = [
        (
            "claims, 8 clients, 90 % of the rows used",
            "update quest_templates set used = true, used_at = now() where not used and random() < 0.9",
            CLAIM,
        ),
        (
            "claims of a level that has run out, 8 clients",
            "update quest_templates set used = true, used_at = now() where not used and level_min <= 7 and level_max >= 7",
            CLAIM_LEVEL,
        ),
    ];
    let each = 500 * bench.options.seconds;
    for (what, drain, claim) in states {
        let worn = Ground::with_quests(bench.options.rows);
        let mut session = worn.session();
        session.run(drain);
        settle(&mut session);
        let pair = Pair::measure(bench.options.rounds, |side| {
            let (script, database) = match side {
                Side::Ours => (claim, &worn),
                Side::Limit => (CLAIM, bench.ground.fresh()),
            };
            let load = Load {
                script,
                clients: CLIENTS,
                each,
                set: &[],
                bare: false,
            };
            load.run(database).per_second()
        });
        let figure = Figure {
            what: &format!("{what}, {} rows", thousands(bench.options.rows)),
            unit: Unit::PerSecond,
            limit: "the fresh pool",
            aim: "0.5",
        };
        bench.pair(&figure, &pair);
    }
}
