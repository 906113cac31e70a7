//! What a game may put in our way: tables, views and functions of the names that we and the game use, made by an
//! ordinary role and full of its code. Whoever installs then, and in whichever way, nobody rises: that code never runs as
//! anybody but its maker.

mod forms;
mod wanted;

use crate::model::setting;
use forms::Obstacle;
use pg_worker_tests::{Cluster, Session, install, paths};
use std::collections::BTreeMap;

const SPY: &str = include_str!("squatter/spy.sql");
const USE: &str = include_str!("squatter/use.sql");

/// Who installs, and how.
#[derive(Clone, Copy, Debug)]
enum Installer {
    Superuser,
    SuperuserForAnOwner,
    OwnerOnATrustingPlatform,
    SuperuserFile,
    OwnerFile,
}

const INSTALLERS: [Installer; 5] = [
    Installer::Superuser,
    Installer::SuperuserForAnOwner,
    Installer::OwnerOnATrustingPlatform,
    Installer::SuperuserFile,
    Installer::OwnerFile,
];

impl Installer {
    fn is_superuser(self) -> bool {
        !matches!(self, Installer::OwnerOnATrustingPlatform | Installer::OwnerFile)
    }

    fn sql(self) -> String {
        match self {
            Installer::Superuser | Installer::OwnerOnATrustingPlatform => {
                "create extension pg_worker_ext".to_owned()
            }
            Installer::SuperuserForAnOwner => {
                "set pg_worker_ext.owner = 'keeper'; create extension pg_worker_ext".to_owned()
            }
            Installer::SuperuserFile | Installer::OwnerFile => paths::read("sql/pg_worker_ext.sql"),
        }
    }
}

#[derive(Default)]
struct Account {
    cells: usize,
    refused: usize,
    /// By the role that the code ran as.
    ran: BTreeMap<String, usize>,
    rises: Vec<String>,
}

struct Siege {
    cluster: Cluster,
    /// Whether there are foreign tables here.
    foreign: bool,
    seen: usize,
    account: Account,
}

impl Siege {
    fn new() -> Siege {
        let trusting = install::trusting_settings();
        let mut settings: Vec<&str> = trusting.iter().map(String::as_str).collect();
        settings.push("pg_worker_ext.background_worker = off");
        let cluster = Cluster::own(&settings);
        let mut admin = cluster.session("postgres");
        admin.run(
            "create role villain login; create role keeper login; create role keeper_game login; create role keeper_gpu login",
        );
        admin.run("create database spied template template0");
        let mut spied = cluster.session("spied");
        spied.run("grant create, usage on schema public to villain, keeper; grant create on database spied to villain");
        as_role(&cluster, "spied", "villain").run(SPY);
        let foreign = spied.batch_execute(&foreign_server(cluster.port())).is_ok();
        Siege {
            cluster,
            foreign,
            seen: 0,
            account: Account::default(),
        }
    }

    /// The obstacle first, or after the install; then all that touches the game's tables and the pools.
    fn try_cell(&mut self, installer: Installer, obstacle: &Obstacle, afterwards: bool) {
        self.account.cells += 1;
        let mut admin = self.cluster.session("postgres");
        admin.run("create database cell template spied");
        admin.run("grant create on database cell to villain, keeper");
        if !afterwards {
            self.set_in_the_way(obstacle);
        }
        let who = if installer.is_superuser() {
            "postgres"
        } else {
            "keeper"
        };
        let mut session = as_role(&self.cluster, "cell", who);
        // What is refused is not there: nobody comes near the thing in the way then, but who does it himself.
        if session.batch_execute(&installer.sql()).is_ok() {
            self.live_on(who, &mut session, afterwards.then_some(obstacle));
        } else {
            self.account.refused += 1;
        }
        self.judge(&format!(
            "{installer:?}, {}{}",
            obstacle.what,
            if afterwards { " afterwards" } else { "" }
        ));
        admin.run("drop database cell with (force)");
    }

    /// All that touches the game's tables and the pools, by everybody who has to do with them.
    fn live_on(&self, who: &str, session: &mut Session, obstacle: Option<&Obstacle>) {
        if let Some(obstacle) = obstacle {
            self.set_in_the_way(obstacle);
        }
        for again in [
            "select worker.grant_backend('keeper_game')",
            "select worker.grant_executor('keeper_gpu')",
            "select worker.setup()",
        ] {
            let _ = session.batch_execute(again);
        }
        for role in [who, "keeper_game", "keeper_gpu"] {
            let _ = as_role(&self.cluster, "cell", role).batch_execute(USE);
        }
    }

    fn set_in_the_way(&self, obstacle: &Obstacle) {
        let made = as_role(&self.cluster, "cell", "villain").batch_execute(&obstacle.sql);
        made.unwrap_or_else(|error| {
            panic!(
                "{}: {}\n{}",
                obstacle.what,
                pg_worker_tests::session::words(&error),
                obstacle.sql
            )
        });
    }

    /// As whom the code ran, in the server's log since the last time, and what its maker is now.
    fn judge(&mut self, cell: &str) {
        let log = self.cluster.log();
        let mut ran: BTreeMap<String, (usize, String)> = BTreeMap::new();
        for line in log[self.seen..].lines().filter(|line| line.contains("SPY ")) {
            let (what, role) = line
                .split_once("SPY ")
                .and_then(|(_, told)| told.split_once(" ran as <"))
                .expect("what the spy logs");
            let role = role.split('>').next().expect("a role").to_owned();
            let entry = ran.entry(role).or_insert_with(|| (0, what.to_owned()));
            entry.0 += 1;
        }
        self.seen = log.len();
        for (role, (times, what)) in ran {
            *self.account.ran.entry(role.clone()).or_default() += times;
            if role != "villain" {
                self.account
                    .rises
                    .push(format!("{cell}: {what} ran as {role}, {times} times"));
            }
        }
        let mut admin = self.cluster.session("postgres");
        let risen: i64 = admin.value(
            "select (select count(*) from pg_roles where (rolname = 'villain' and (rolsuper or rolcreaterole or rolcreatedb or rolbypassrls or rolreplication))
                        or rolname = 'risen')
                  + (select count(*) from pg_auth_members where member = 'villain'::regrole)",
            &[],
        );
        if risen > 0 {
            self.account.rises.push(format!("{cell}: the villain has risen"));
            admin.run(
                "alter role villain nosuperuser nocreaterole nocreatedb nobypassrls; drop role if exists risen; revoke keeper from villain");
        }
    }

    fn done(self, what: &str) {
        let Account {
            cells,
            refused,
            ran,
            rises,
        } = self.account;
        println!(
            "{what}: {cells} cells, {refused} installs refused, its code ran as {ran:?}, {} rises",
            rises.len()
        );
        let some: Vec<&str> = rises.iter().map(String::as_str).take(40).collect();
        assert!(some.is_empty(), "{} rises:\n{}", rises.len(), some.join("\n"));
    }
}

/// A server of foreign tables that the villain may use: the database itself, seen as the villain.
fn foreign_server(port: u16) -> String {
    format!(
        "create extension postgres_fdw;
         create server villain_loop foreign data wrapper postgres_fdw options (host '127.0.0.1', port '{port}', dbname 'cell');
         create user mapping for public server villain_loop options (user 'villain', password_required 'false');
         grant usage on foreign server villain_loop to villain"
    )
}

fn as_role(cluster: &Cluster, database: &str, role: &str) -> Session {
    Session::open(cluster.config(database).user(role))
}

fn siege(obstacles: &[Obstacle], orders: &[bool], share: usize, what: &str) {
    let mut siege = Siege::new();
    let seed = setting("SQUATTER_SEED", 0) as usize;
    let mut number = seed;
    for obstacle in obstacles {
        for afterwards in orders {
            for installer in INSTALLERS {
                number += 1;
                let there = siege.foreign || !obstacle.sql.contains("villain_loop");
                if number.is_multiple_of(share) && there {
                    siege.try_cell(installer, obstacle, *afterwards);
                }
            }
        }
    }
    siege.done(what);
}

fn before_us(share: usize) {
    let mut all: Vec<Obstacle> = wanted::ours().iter().flat_map(forms::forms).collect();
    all.extend(forms::functions());
    siege(&all, &[false], share, "things of our names");
}

#[test]
fn nobody_rises_by_tables_of_the_games_names() {
    siege(
        &wanted::game_in_each_form(),
        &[false, true],
        4,
        "tables of the game's names",
    );
}

#[test]
fn nobody_rises_by_things_of_our_names() {
    before_us(37);
}

#[test]
#[ignore = "a thousand installs: scripts/suites/deeds.sh"]
fn nobody_rises_by_any_table_of_the_games_names() {
    siege(
        &wanted::game_in_each_form(),
        &[false, true],
        1,
        "tables of the game's names",
    );
}

#[test]
#[ignore = "a thousand installs: scripts/suites/deeds.sh"]
fn nobody_rises_by_anything_of_our_names() {
    before_us(1);
}
