use super::*;

#[test]
fn pre_conditions() {
    check_prose(
        "pre_conditions",
        &[
            "Pre-condition: T01 done.",
            "**Pre-condition:** T01 and `T02` done and `x` healthy.",
            "**Precondition**: W-1-T01, W-1 T02",
            "Preconditions: T01–T02 done",
            "Pre-conditions: T01-T02",
            "Pre-conditions: T01 through T02 are done",
            "- a point\n- Pre-condition: T02 done.",
            "> Pre-condition: T02 done.",
            "Text first. Pre-condition: T02 done. Done when: a.",
            "Text first\nPre-condition: [T02](#t02) done,\nand T01 too.",
            "Pre-conditions:\n\n- T01 done\n- `T02` done",
            "#### Pre-conditions\n\n1. T01 done\n2. T02 done",
            "Pre-conditions: all of:\n- T01\n- T02",
            "Pre-condition: none.",
        ],
    );
}

#[test]
fn pre_conditions_not_understood() {
    check_prose(
        "pre_conditions_not_understood",
        &[
            "Pre-condition: the cluster is up.",
            "Pre-condition:",
            "Pre-condition: T04 done.",
            "Pre-condition: T3 done.",
            "Pre-condition: T03 done.",
            "Pre-condition: OTHER-WP-0003-T01 done.",
            "Pre-condition: OTHER-WP-0003 T01 done.",
            "Pre-condition: T02 must not have started.",
            "Pre-condition: T01 or T02 done.",
            "Pre-condition: T01 done. T02 is done too.",
            "Pre-condition: T02–T01 done.",
            "Pre-condition: T01–T09 done.",
            "Pre-condition T01 done.",
            "Depends on: T01.",
            "Depends on the weather.",
            "After T01 is done, go on.",
            "Pre-conditions:\n\n- T01 done\n- the cluster is up",
            "| x | Pre-condition: T01 |\n|---|---|\n| Done when: a | b |",
        ],
    );
}

#[test]
fn done_when() {
    check_prose(
        "done_when",
        &[
            "Done when: a; `b; c`; **d** and *e*.",
            "**Done when:** a\n  and b;\nc",
            "**Done when**: a.",
            "Done when a stands. It stays.",
            "- Done when: a; b\n- other",
            "> Done when: a;\n> b c.",
            "Done when:\n\n- a b\n  c;\n- `d; e`.\n- **f**\n\nText.",
            "Done when:\n1. a\n2. b",
            "Done when all of these hold:\n\n- a\n- b",
            "Done when:\n\na; b.",
            "#### Done when\n\n- a\n- b",
            "Done when: a &amp; b; \\*c\\*; ü [d](http://e).",
            "Done when: a.\nCompleted on 2026-01-02 by x.",
            "Done when: a.\n\nDone when: b.",
            "Done when: `cd ..`",
            "Completed on 2026-01-02 by x.\n\nCompleted on 2026-01-03 by y.",
        ],
    );
}

#[test]
fn done_when_not_understood() {
    check_prose(
        "done_when_not_understood",
        &[
            "Done when:",
            "Done when: ;",
            "Done when:\n\n```sh\na\n```",
            "Done when:\n\n- a\n\n  more\n- b",
            "Acceptance criteria: a.",
            "Text.\n\nDone when: a\n---",
            "Completed on Monday by x.",
            "Completed: 2026-01-02.",
            "It is\ndone when it is done.",
        ],
    );
}
