//! The table of an audit: one row per token, with the numbers to sort by in `data-` attributes.

use maud::{Markup, html};

use super::Page;
use crate::num::decimal::{round_down, round_up};
use crate::report::audit::Row;
use crate::verdict::Answer;

/// Significant digits of printed bounds.
const DIGITS: usize = 4;
/// Tokens of a witness that are shown without unfolding it.
const SHORT: usize = 8;

/// The controls, which only scripts show, and the table.
pub fn table(page: &Page<'_>, thresholds: &[String]) -> Markup {
    html! {
        div id="controls" hidden {
            label { "Filter " input id="filter" type="search" placeholder="token, id or prover" {} }
            label {
                "Show "
                select id="verdict" {
                    option value="" { "all tokens" }
                    @for answer in ["proved", "refuted", "unknown"] { option { (answer) } }
                }
            }
            span id="shown" {}
        }
        div class="scroll" {
            table id="tokens" {
                thead {
                    tr {
                        @for (key, name) in [("id", "id"), ("text", "token"), ("lower", "lower"), ("upper", "upper"), ("gap", "gap")] {
                            th data-key=(key) scope="col" { (name) }
                        }
                        th scope="col" { "0 … 1" }
                        th data-key="prover" scope="col" { "prover" }
                        @for threshold in thresholds { th scope="col" { "P ≤ " (threshold) } }
                        th scope="col" { "witness" }
                    }
                }
                tbody { @for row in &page.audit.tokens { (line(page, row, thresholds)) } }
            }
        }
    }
}

fn line(page: &Page<'_>, row: &Row, thresholds: &[String]) -> Markup {
    let gap = row.upper - row.lower;
    // Percent of the bar that is certain, and that is possible.
    let bar = format!("--l:{:.2}%;--u:{:.2}%", 100.0 * row.lower, 100.0 * row.upper);
    html! {
        tr data-id=(row.id) data-text=(row.text) data-lower=(row.lower) data-upper=(row.upper) data-gap=(gap) data-prover=(row.prover) {
            td.number { (row.id) }
            td { code { (row.text) } }
            td.number { (round_down(row.lower, DIGITS)) }
            td.number { (round_up(row.upper, DIGITS)) }
            td.number { (round_up(gap, 2)) }
            td { div.bar style=(bar) {} }
            td { (row.prover) }
            @for threshold in thresholds {
                td { @if let Some(answer) = row.verdicts.get(threshold) { (verdict(page, row, threshold, *answer)) } }
            }
            td.witness { @if let Some(prefix) = &row.witness { (witness(page, prefix)) } }
        }
    }
}

/// The answer, linked to its certificate if there is one.
fn verdict(page: &Page<'_>, row: &Row, threshold: &str, answer: Answer) -> Markup {
    let badge = html! { span class=(format!("badge {}", answer.word())) { (answer.word()) } };
    match page.certificates.get(&(row.id, threshold.to_owned())) {
        Some(link) => {
            html! { a href=(link.href) title=(format!("certificate, SHA-256 {}", link.sha256)) { (badge) } }
        }
        None => badge,
    }
}

/// A prefix token by token; a long one can be unfolded.
fn witness(page: &Page<'_>, prefix: &[u32]) -> Markup {
    let spans = |part: &[u32]| html! { @for &id in part { span.token title=(id) { (page.vocab.text(id)) } } };
    html! {
        @if prefix.len() <= SHORT { (spans(prefix)) } @else {
            details { summary { (spans(&prefix[prefix.len() - SHORT..])) " (last " (SHORT) " of " (prefix.len()) ")" } (spans(prefix)) }
        }
    }
}
