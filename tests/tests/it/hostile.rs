//! Hostile input at both doors: any argument of any function may be garbage, as long as an argument of
//! that type can be. The answer is a result or a refusal; the server lives, nothing of the server's
//! insides shows, and nobody comes by a right.

mod any;
mod calls;
mod large;
mod many;
mod texts;
mod values;

use pg_worker_tests::{Database, Session};
use postgres::error::SqlState;

/// What an attacker would like to see happen, and what must be the same before and after.
const RIGHTS: &str = "
    select concat_ws(E'\n',
      (select string_agg(concat(rolname, rolsuper, rolcreaterole, rolbypassrls), ',' order by rolname) from pg_roles),
      (select string_agg(concat(roleid::regrole, member::regrole), ',' order by 1) from pg_auth_members),
      (select md5(string_agg(concat(oid, proowner, proacl, prosecdef, proconfig, prosrc), ',' order by oid))
         from pg_proc where pronamespace in ('public'::regnamespace, 'worker'::regnamespace)),
      (select md5(string_agg(concat(oid, relname, relowner, relacl, relrowsecurity), ',' order by oid))
         from pg_class where relnamespace in ('public'::regnamespace, 'worker'::regnamespace)),
      (select md5(string_agg(concat(polrelid::regclass, polname, polroles), ',' order by oid)) from pg_policy),
      (select string_agg(secret, ',') from public.secrets),
      pg_postmaster_start_time())";

/// Two roles at the doors, and something that is none of their business.
struct Besieged {
    owner: Session,
    game: Session,
    executor: Session,
    rights: String,
}

impl Besieged {
    fn new(database: &Database) -> Besieged {
        for role in ["hostile_game", "hostile_gpu"] {
            database.cluster().role(role);
        }
        let mut owner = database.session();
        owner.run(
            "create table secrets (secret text);
             insert into secrets values ('of the owner');
             select worker.grant_backend('hostile_game'); select worker.grant_executor('hostile_gpu')",
        );
        let rights = owner.value(RIGHTS, &[]);
        Besieged {
            owner,
            game: database.session_as("hostile_game"),
            executor: database.session_as("hostile_gpu"),
            rights,
        }
    }

    /// What is wrong now: a dead server, a right that somebody has come by, a secret that has gone.
    fn trouble(&mut self) -> Option<String> {
        let now: String = self.owner.value(RIGHTS, &[]);
        (now != self.rights).then(|| format!("before:\n{}\nnow:\n{now}", self.rights))
    }
}

/// Whether an answer is one: the session lives, and what is said is no word of the server's own about
/// itself or about SQL that it could not read.
fn is_an_answer(outcome: Result<(), postgres::Error>) -> Result<(), String> {
    let Err(error) = outcome else { return Ok(()) };
    let Some(refusal) = error.as_db_error() else {
        return Err(format!("the connection is gone: {error:?}"));
    };
    let code = refusal.code();
    let class = &code.code()[..2];
    let inner = matches!(class, "XX" | "57" | "58" | "F0") || *code == SqlState::SYNTAX_ERROR;
    if inner {
        return Err(format!("{} {}", code.code(), refusal.message()));
    }
    Ok(())
}
