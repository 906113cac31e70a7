//! What is done on the two connections: every verb that writes, each to the same few rows.

/// Who calls a verb, and so what may stand beside it in one transaction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Caller {
    /// Whatever a game likes, in any company.
    Game,
    /// An executor or a tick: each call is a transaction of its own.
    Worker,
    /// An administrator: alone, too.
    Admin,
}

/// One call. In `prepare` and `sql`, `:n` stands for the id of this number in the fixture.
#[derive(Clone, Copy, Debug)]
pub struct Verb {
    pub name: &'static str,
    pub caller: Caller,
    /// Runs before the order begins, when everybody has gone.
    pub prepare: &'static str,
    pub sql: &'static str,
    /// What it gives in its first column may be given to one only: an item, a job.
    pub gives: Option<&'static str>,
    /// The game itself says which row, key or lock it is about: two such calls in the opposite order of another
    /// transaction's are a circle that the game has made.
    pub named: bool,
    /// It promises to wait for nobody longer than a bound of its own.
    pub bounded: bool,
}

const fn verb(caller: Caller, name: &'static str, sql: &'static str) -> Verb {
    Verb {
        name,
        caller,
        prepare: "",
        sql,
        gives: None,
        named: false,
        bounded: false,
    }
}

const fn game(name: &'static str, sql: &'static str) -> Verb {
    verb(Caller::Game, name, sql)
}

const fn worker(name: &'static str, sql: &'static str) -> Verb {
    verb(Caller::Worker, name, sql)
}

const fn admin(name: &'static str, sql: &'static str) -> Verb {
    verb(Caller::Admin, name, sql)
}

const fn named(name: &'static str, sql: &'static str) -> Verb {
    Verb {
        named: true,
        ..game(name, sql)
    }
}

const fn bounded(verb: Verb) -> Verb {
    Verb {
        bounded: true,
        ..verb
    }
}

const fn giving(gives: &'static str, verb: Verb) -> Verb {
    Verb {
        gives: Some(gives),
        ..verb
    }
}

/// A claim where one item is left and where none is, without a request id and with one that both use.
const fn claims(
    kind: &'static str,
    names: [&'static str; 4],
    empty: &'static str,
    sql: [&'static str; 2],
) -> [Verb; 4] {
    let one = bounded(giving(kind, game(names[0], sql[0])));
    let asked = bounded(named(names[1], sql[1]));
    [
        one,
        asked,
        Verb {
            name: names[2],
            prepare: empty,
            ..one
        },
        Verb {
            name: names[3],
            prepare: empty,
            ..asked
        },
    ]
}

macro_rules! claims {
    ($kind:literal, $table:literal, $call:literal) => {
        claims(
            $kind,
            [
                concat!("claim ", $kind, ", one left"),
                concat!("claim ", $kind, " by request, one left"),
                concat!("claim ", $kind, ", none left"),
                concat!("claim ", $kind, " by request, none left"),
            ],
            concat!("update ", $table, " set used = true"),
            [
                concat!("select * from ", $call, ")"),
                concat!("select * from ", $call, ", request_id => 'the same')"),
            ],
        )
    };
}

const CLAIMS: [[Verb; 4]; 6] = [
    claims!("quest", "quest_templates", "claim_quest_from_pool(:81, 1, 3"),
    claims!("npc", "npc_personalities", "claim_npc_from_pool('north', null"),
    claims!(
        "encounter",
        "combat_encounters",
        "claim_encounter_from_pool('forest'"
    ),
    claims!("dungeon", "dungeon_content", "claim_dungeon_from_pool(null"),
    claims!("poi", "campaign_pois", "claim_poi_from_pool('north'"),
    claims!("tavern", "tavern_items", "claim_from_pool('tavern'"),
];

macro_rules! add_kind {
    ($kind:literal) => {
        concat!(
            "select worker.add_kind('",
            $kind,
            "', 'Write an inn.', '{\"type\": \"object\", \"properties\": {\"name\": {\"type\": \"string\"}}}')"
        )
    };
}

const OTHERS: &[Verb] = &[
    game("enqueue", "select enqueue_worker_job('generate_quests', '{\"count\": 1}')"),
    named("enqueue with a key", "select enqueue_worker_job('generate_npcs', p_dedupe_key => 'new')"),
    named("enqueue with a key that is there", "select enqueue_worker_job('generate_quests', p_dedupe_key => 'kept')"),
    named("enqueue for a new campaign", "select enqueue_worker_job('generate_pois', '{\"campaign_seed\": \"west\"}')"),
    named("enqueue for a new character", "select enqueue_worker_job('generate_pois', '{\"campaign_seed\": \"east\"}')"),
    game("schedule_pool_check", "select schedule_pool_check()"),
    Verb {
        prepare: "delete from worker_jobs where id = :6",
        ..game("schedule_pool_check, none there", "select schedule_pool_check()")
    },
    named("cancel a waiting job", "select cancel_worker_job(:1)"),
    named("cancel a running job", "select cancel_worker_job(:11)"),
    named("retry", "select retry_worker_job(:21)"),
    named("retry beside a twin", "select retry_worker_job(:22)"),
    named("UPDATE a running job to failed", "update worker_jobs set status = 'failed' where id = :14"),
    named("DELETE an ended job", "delete from worker_jobs where id = :21"),
    named("UPDATE a pool", "update content_pools set min_size = 3 where kind = 'quest'"),
    named("UPDATE all pools", "update content_pools set batch_size = 3"),
    named("DELETE an item", "delete from quest_templates where id = :1"),
    named("give an item back", "update quest_templates set used = false where id = :2"),
    named("DELETE a campaign", "delete from worker.campaigns where campaign_seed = 'north'"),
    named("the game's own lock", "select pg_advisory_xact_lock(1)"),
    named("the game's own row", "update characters set campaign_seed = 'east'"),
    game("INSERT a character", "insert into characters (campaign_seed) values ('west')"),
    giving("job", worker("lease_jobs", "select * from worker.lease_jobs(:71, 2)")),
    giving("job", worker("lease_for_empty_pool", "select * from worker.lease_for_empty_pool(:71)")),
    worker("heartbeat", "select * from worker.heartbeat(array[:12, :11, :18, :19]::uuid[], array[:512, :511, :518, :519]::uuid[])"),
    worker("next_item", "select * from worker.next_item(:11, :511)"),
    worker(
        "store_item",
        "select outcome from worker.store_item(:11, :511, 1, '{\"title\": \"Eight Sacks of Flour\",
           \"description\": \"A miller asks you to look after eight sacks of flour that never reached the market.\",
           \"objectives\": [{\"type\": \"investigate\", \"target\": \"the old mill\", \"count\": 1}],
           \"level_min\": 1, \"level_max\": 3, \"xp_reward\": 100, \"gold_reward\": 50}', '{\"model\": \"m\", \"generator\": \"llm\"}')",
    ),
    worker("reject_item", "select worker.reject_item(:11, :511, 1, 'not_json', 'x', '{\"model\": \"m\", \"generator\": \"llm\"}')"),
    worker("complete_job", "select * from worker.complete_job(:12, :512)"),
    worker("complete_jobs", "select * from worker.complete_jobs(array[:13, :12]::uuid[], array[:513, :512]::uuid[])"),
    worker("fail_job", "select * from worker.fail_job(:11, :511, 'it rained')"),
    worker("fail_job for good", "select * from worker.fail_job(:17, :517, 'it rained', true)"),
    worker("fail_job of a kind of one's own", "select * from worker.fail_job(:18, :518, 'it rained', true)"),
    worker("release_job", "select * from worker.release_job(:11, :511)"),
    worker("report_executor", "select worker.report_executor(:71, '{}')"),
    worker("show_presence", "select worker.show_presence(:72)"),
    worker("unregister_executor", "select worker.unregister_executor(:72)"),
    worker("rescue_jobs", "select worker.rescue_jobs()"),
    worker("refill_pools", "select worker.refill_pools()"),
    Verb {
        prepare: "delete from worker_jobs where id = :6",
        ..worker("refill_pools without a check", "select worker.refill_pools()")
    },
    worker("prune_jobs", "select worker.prune_jobs()"),
    worker("tick", "select worker.tick()"),
    admin("retire_items", "select worker.retire_items(p_generator => 'builtin')"),
    Verb {
        prepare: "drop table if exists inn_items",
        ..admin("add_kind", add_kind!("inn"))
    },
    admin("add_kind that is there", add_kind!("tavern")),
    admin("drop_kind", "select worker.drop_kind('tavern')"),
    bounded(admin("setup", "select worker.setup()")),
];

/// All of them, claims first.
pub fn all() -> Vec<Verb> {
    CLAIMS.iter().flatten().chain(OTHERS).copied().collect()
}

/// A statement for the server: `:n` becomes the id of this number, as in the fixture.
pub fn with_ids(sql: &str) -> String {
    let mut text = String::new();
    let mut rest = sql;
    while let Some(at) = rest.find(':') {
        let (before, after) = (&rest[..at], &rest[at + 1..]);
        let digits = after.len() - after.trim_start_matches(|c: char| c.is_ascii_digit()).len();
        text.push_str(before);
        match after[..digits].parse::<u32>() {
            Ok(number) => text.push_str(&format!("'00000000-0000-0000-0000-{number:012}'")),
            Err(_) => text.push(':'),
        }
        rest = &after[digits..];
    }
    text + rest
}
