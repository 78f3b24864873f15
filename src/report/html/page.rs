//! The page around plots and table: head, facts, counts, notes.

use maud::{DOCTYPE, Markup, PreEscaped, html};

use super::{Page, plots, table};

const STYLE: &str = include_str!("page.css");
const SCRIPT: &str = include_str!("page.js");

/// The whole page.
pub fn page(page: &Page<'_>) -> Markup {
    let audit = page.audit;
    let thresholds: Vec<String> = thresholds(page);
    let title = format!("llmprove: {}", audit.model);
    html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta name="viewport" content="width=device-width, initial-scale=1";
                title { (title) }
                style { (PreEscaped(STYLE)) }
            }
            body {
                header {
                    h1 { "How likely can each token get?" }
                    p { "Certified bounds on the greatest P(token | prefix) of " code { (audit.model) } " over " b { (prefixes(page)) } "." }
                }
                section aria-label="Summary" { (facts(page)) (counts(page, &thresholds)) }
                section.plots aria-label="Plots" { (plots::bounds(audit)) (plots::thresholds(audit)) (plots::gaps(audit)) }
                section aria-label="Tokens" { h2 { "Tokens" } (table::table(page, &thresholds)) }
                footer { (notes()) }
                script type="application/json" id="audit" { (PreEscaped(embedded(page))) }
                script { (PreEscaped(SCRIPT)) }
            }
        }
    }
}

/// Exact texts of the thresholds, least first.
fn thresholds(page: &Page<'_>) -> Vec<String> {
    let mut texts: Vec<String> = page.audit.tokens.iter().flat_map(|r| r.verdicts.keys().cloned()).collect();
    texts.sort_by(|a, b| a.parse().unwrap_or(f64::NAN).total_cmp(&b.parse().unwrap_or(f64::NAN)));
    texts.dedup();
    texts
}

/// The prefixes spoken of, in words.
fn prefixes(page: &Page<'_>) -> String {
    let set = if page.audit.language == "any" { "every prefix" } else { "every prefix of the language" };
    let length = page.audit.max_len.map_or("of every length".into(), |n| format!("of 1 to {n} tokens"));
    match page.audit.language.as_str() {
        "any" => format!("{set} {length}"),
        language => format!("{set} {language}, {length}"),
    }
}

fn facts(page: &Page<'_>) -> Markup {
    html! {
        dl {
            @for (label, text) in &page.facts { dt { (label) } dd { (text) } }
            dt { "model digest" } dd { code { (page.digest) } }
            dt { "tokens" } dd { (page.audit.tokens.len()) }
            dt { "mean gap" } dd { (format!("{:.4}", page.audit.mean_gap)) }
            dt { "time" } dd { (format!("{:.1} s", page.audit.seconds)) }
        }
    }
}

/// A bar of proved, refuted and unknown tokens for every threshold.
fn counts(page: &Page<'_>, thresholds: &[String]) -> Markup {
    let total = page.audit.tokens.len().max(1) as f64;
    html! {
        table.counts {
            @for threshold in thresholds {
                @if let Some(counts) = page.audit.summary.get(threshold) {
                    tr {
                        th scope="row" { "P ≤ " (threshold) }
                        td {
                            div.stack {
                                @for (name, n) in [("proved", counts.proved), ("unknown", counts.unknown), ("refuted", counts.refuted)] {
                                    @if n > 0 {
                                        div class=(name) style=(format!("width:{:.2}%", 100.0 * n as f64 / total)) title=(format!("{n} {name}")) { (n) }
                                    }
                                }
                            }
                        }
                    }
                }
            }
        }
        p.legend { span.proved { "proved" } " " span.unknown { "unknown" } " " span.refuted { "refuted" } }
    }
}

/// What the numbers mean.
fn notes() -> Markup {
    html! {
        h2 { "How to read this" }
        p {
            "The lower bound is the probability after a concrete prefix, the witness, evaluated with rigorous arithmetic. The "
            "upper bound is a theorem about the exact real function of the stored weights. " b { "Proved" }
            ": no prefix drives the token above the threshold. " b { "Refuted" } ": the witness does. " b { "Unknown" }
            ": the threshold lies between the bounds. All figures are rounded outward."
        }
        p {
            "A linked answer has a certificate: " code { "llmprove-check --model DIR --statement FILE --certificate FILE" }
            " checks it without trusting the prover. The statement lies beside the certificate."
        }
    }
}

/// The audit's document as JSON that cannot end its `<script>` element: `<` is written as an escape.
fn embedded(page: &Page<'_>) -> String {
    let json =
        serde_json::to_string(page.audit).expect("documents hold only strings, finite numbers and lists");
    json.replace('<', "\\u003c")
}
