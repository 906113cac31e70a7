use super::*;

fn piece(path: &str, text: &str) -> Piece {
    Piece {
        path: path.to_owned(),
        text: text.to_owned(),
    }
}

fn both(core: &[Piece], kinds: &[Piece]) -> Result<(String, String)> {
    let stub = piece("sql/native_stub.sql", "-- stand-ins\n");
    let extension = assemble(Target::Extension, &stub, core, kinds)?;
    Ok((extension, assemble(Target::SqlOnly, &stub, core, kinds)?))
}

fn places<const N: usize>(text: &str, wanted: [&str; N]) -> [usize; N] {
    wanted.map(|part| {
        text.find(part)
            .unwrap_or_else(|| panic!("{part:?} is missing in:\n{text}"))
    })
}

fn a_kind() -> Piece {
    piece(
        "sql/kinds/quest.sql",
        "create or replace function worker.setup_kind_quest() returns void …;\n",
    )
}

#[test]
fn pieces_come_in_order_around_the_kinds() {
    let core = [
        piece("sql/core/10_first.sql", "select 1;\n"),
        piece("sql/core/79_last.sql", "select 79;\n"),
        piece("sql/core/80_after.sql", "select 80;\n"),
    ];
    let (extension, sql_only) = both(&core, &[a_kind()]).unwrap();
    for text in [&extension, &sql_only] {
        let at = places(
            text,
            [
                "worker.game_door()",
                "-- sql/core/10_first.sql\n",
                "select 79;",
                "-- sql/kinds/quest.sql\n",
                "worker.setup_kinds()",
                "select 80;",
            ],
        );
        assert!(at.is_sorted(), "{at:?}");
        assert!(text.contains("  perform worker.setup_kind_quest();\n"));
    }
    assert!(extension.ends_with("select worker.native_info();\n"));
    assert!(!extension.contains("stand-ins") && !extension.contains("begin;\n"));
    let at = places(
        &sql_only,
        [
            "\nbegin;\n",
            "create schema",
            "-- stand-ins",
            "select 1;",
            "\ncommit;\n",
        ],
    );
    assert!(at.is_sorted(), "{at:?}");
}

#[test]
fn regions_go_into_their_own_text_only() {
    let text = "a;\n-- @extension-only\nb;\n-- @end\n  -- @sql-only\nc;\n  -- @end\nd;\n";
    let (extension, sql_only) = both(&[piece("sql/core/10_x.sql", text)], &[]).unwrap();
    assert!(extension.contains("a;\nb;\nd;\n") && !extension.contains("c;"));
    assert!(sql_only.contains("a;\nc;\nd;\n") && !sql_only.contains("b;"));
    assert!(!sql_only.contains("@end"));
}

#[test]
fn regions_must_be_closed_and_not_nested() {
    for bad in [
        "-- @sql-only\n",
        "-- @end\n",
        "-- @sql-only\n-- @extension-only\n-- @end\n",
    ] {
        let error = both(&[piece("sql/core/10_x.sql", bad)], &[])
            .unwrap_err()
            .to_string();
        assert!(error.starts_with("sql/core/10_x.sql: "), "{error}");
    }
}

#[test]
fn the_game_door_is_sorted_and_complete() {
    let core = [
        piece(
            "sql/core/10_x.sql",
            "create or replace function public.zebra(\n  a int)\n",
        ),
        piece(
            "sql/core/90_y.sql",
            "  create or replace function public.ant() returns int\n",
        ),
        piece(
            "sql/core/91_z.sql",
            "-- create or replace function public.ghost()\n",
        ),
    ];
    let (extension, _) = both(&core, &[]).unwrap();
    assert!(
        extension.contains("array[\n    'ant',\n    'zebra'\n  ]"),
        "{extension}"
    );
}

#[test]
fn no_kinds_and_no_doors_are_still_valid_sql() {
    let (extension, _) = both(&[], &[]).unwrap();
    assert!(extension.contains("begin\n  null;\nend"));
    assert!(extension.contains("]::text[]"));
}

#[test]
fn a_kind_without_its_setup_function_is_refused() {
    let error = both(&[], &[piece("sql/kinds/npc.sql", "select 1;\n")])
        .unwrap_err()
        .to_string();
    assert!(error.contains("sql/kinds/npc.sql does not contain"), "{error}");
}

#[test]
fn a_core_piece_needs_its_number() {
    for name in ["sql/core/setup.sql", "sql/core/1_x.sql", "sql/core/100_x.sql"] {
        assert!(both(&[piece(name, "")], &[]).is_err(), "{name}");
    }
}
