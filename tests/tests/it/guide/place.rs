//! Where the blocks of a page are run: a database with the game's own tables, psql, a shell with the
//! programs in its path. A comment `-- → text` (in shell `# → text`) is a promise of the page: the
//! output since the last one is exactly this. `-- ✗ text` promises a refusal with this text.

use super::page::Block;
use pg_worker_tests::psql::Psql;
use pg_worker_tests::{Database, Session, paths};
use std::path::Path;
use std::process::{Command, Output};

/// The character of the examples, who has talked with the dungeon master.
pub const CHARACTER: &str = "7d0e0f5e-0d0d-4a3a-9f2b-6c1a5b1f0001";

/// What a page writes for what only its reader knows, and what stands for it in the tests. Those
/// that depend on the run (`job-uuid`, the address of the model) are filled in where they are used.
const PLACEHOLDERS: [(&str, &str); 1] = [("character-uuid", CHARACTER)];

/// The tables that the game brings along.
const GAME: &str = "
create table characters (id uuid primary key, name text, campaign_seed text not null);
create table dm_conversations (character_id uuid, role text, content text, created_at timestamptz default now());
create table journal_entries (character_id uuid, entry_type text, content text, metadata jsonb, created_at timestamptz default now());
";

/// The tables came after the install.
const SETUP: &str = "do $$ begin if to_regprocedure('worker.setup()') is not null then perform worker.setup(); end if; end $$";

pub struct Place<'d> {
    database: &'d Database<'d>,
    folder: tempfile::TempDir,
    /// The port that the page calls 3002.
    health_port: Option<u16>,
}

impl<'d> Place<'d> {
    pub fn new(database: &'d Database<'d>) -> Place<'d> {
        let folder = tempfile::tempdir().expect("a folder");
        Place {
            database,
            folder,
            health_port: None,
        }
    }

    /// With an executor whose /health is at this port.
    pub fn with_health(&mut self, port: u16) {
        self.health_port = Some(port);
    }

    /// The game's own tables: a character in a campaign, with an evening's talk.
    pub fn make_game(&self) {
        self.database.session().run(GAME);
        self.database.session().run(SETUP);
        self.talk();
    }

    /// The character and the talk, in tables that are there.
    pub fn talk(&self) {
        let mut session = self.database.session();
        session.run(&format!(
            "insert into characters (id, name, campaign_seed) values ('{CHARACTER}', 'Rowan', 'abc123');
             insert into dm_conversations (character_id, role, content) values
               ('{CHARACTER}', 'dm', 'The ferry bell rings, and there has been no ferry since spring.'),
               ('{CHARACTER}', 'player', 'I take my lantern and go down to the landing.')"
        ));
    }

    pub fn session(&self) -> Session {
        self.database.session()
    }

    /// A text of a page with the placeholders filled in that are the same in every run.
    pub fn filled_statement(text: &str) -> String {
        PLACEHOLDERS
            .iter()
            .fold(text.to_owned(), |text, (placeholder, value)| {
                text.replace(placeholder, value)
            })
    }

    fn filled(&self, text: &str) -> String {
        let mut text = Place::filled_statement(text);
        if let Some(port) = self.health_port {
            text = text.replace("http://localhost:3002", &format!("http://127.0.0.1:{port}"));
        }
        text
    }

    /// Runs a block with psql; what it printed, the promises kept.
    #[track_caller]
    pub fn sql(&self, block: &Block) -> String {
        assert_eq!(block.language, "sql", "{}", block.place);
        let mut script = String::new();
        let mut refusals = Vec::new();
        for line in self.filled(&block.text).lines() {
            if let Some(text) = line.trim().strip_prefix("-- ✗ ") {
                refusals.push(text.to_owned());
            } else if let Some(text) = line.trim().strip_prefix("-- → ") {
                script.push_str(&format!("\\echo '→ {}'\n", text.replace('\'', "''")));
            } else {
                script.push_str(line);
                script.push('\n');
            }
        }
        let file = self.folder.path().join("block.sql");
        std::fs::write(&file, script).expect("write a script");
        let stop = if refusals.is_empty() {
            "ON_ERROR_STOP=1"
        } else {
            "ON_ERROR_STOP=0"
        };
        let psql = Psql::new(self.database).arg("-v").arg(stop);
        let out = psql.file(file.to_str().expect("a path")).output();
        check(block, &out, &refusals)
    }

    /// Runs a block in a shell, in the folder of the repository.
    #[track_caller]
    pub fn bash(&self, block: &Block) -> String {
        self.bash_in(block, paths::root(), &[])
    }

    /// Runs a block in a shell, in a folder of its own.
    #[track_caller]
    pub fn bash_aside(&self, block: &Block) -> String {
        self.bash_in(block, self.folder.path(), &[])
    }

    /// Runs a block in a shell, with further variables.
    #[track_caller]
    pub fn bash_with(&self, block: &Block, variables: &[(&str, &str)]) -> String {
        self.bash_in(block, paths::root(), variables)
    }

    #[track_caller]
    fn bash_in(&self, block: &Block, folder: &Path, variables: &[(&str, &str)]) -> String {
        let mut script = String::from("set -e\n");
        for line in self.filled(&block.text).lines() {
            match line.trim().strip_prefix("# → ") {
                Some(text) => script.push_str(&format!("echo '→ {}'\n", text.replace('\'', "'\\''"))),
                None => script.push_str(&format!("{line}\n")),
            }
        }
        let out = self.shell("bash", &script, folder, variables);
        check(block, &out, &[])
    }

    /// Runs a script, two minutes at most, with nothing of the tester's own environment.
    pub fn shell(&self, shell: &str, script: &str, folder: &Path, variables: &[(&str, &str)]) -> Output {
        let bin = |program: &Path| program.parent().expect("a folder").display().to_string();
        let path = [bin(&paths::pg_bin("psql")), bin(&paths::executor())].join(":");
        let mut command = Command::new("timeout");
        command
            .args(["-k", "5", "120", shell, "-c", script])
            .env_clear()
            .current_dir(folder);
        command
            .env("PATH", format!("{path}:/usr/bin:/bin"))
            .env("DATABASE_URL", self.database.url());
        command.envs(variables.iter().copied());
        command.output().expect("a shell")
    }
}

/// What a block printed. Panics where it failed or did not keep its promises.
#[track_caller]
fn check(block: &Block, out: &Output, refusals: &[String]) -> String {
    let stdout = String::from_utf8_lossy(&out.stdout).into_owned();
    let stderr = String::from_utf8_lossy(&out.stderr);
    assert!(out.status.success(), "{}: {stdout}{stderr}", block.place);
    let errors: Vec<&str> = stderr.lines().filter(|line| line.contains("ERROR: ")).collect();
    assert_eq!(errors.len(), refusals.len(), "{}: {stderr}", block.place);
    for (error, refusal) in errors.iter().zip(refusals) {
        assert!(
            error.contains(refusal),
            "{}: '{refusal}' expected: {error}",
            block.place
        );
    }
    let mut printed = Vec::new();
    for line in stdout
        .lines()
        .filter(|line| !line.starts_with("Asynchronous notification"))
    {
        match line.strip_prefix("→ ") {
            Some(promise) => {
                assert_eq!(printed.join("\n").trim(), promise, "{}", block.place);
                printed.clear();
            }
            None => printed.push(line),
        }
    }
    stdout
}
