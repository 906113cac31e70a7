//! The pages of `docs/`, run: every SQL and shell block, and what it does is checked. A page's blocks
//! are taken in their order; one that no test knows fails its page. What cannot be run here is
//! named with the reason and printed as left out.

mod calls;
mod developer;
mod faults;
mod gpu_owner;
mod operator;
mod page;
mod place;
mod protocol;
mod supabase;
mod tour;
mod upkeep;
