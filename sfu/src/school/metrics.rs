//! What came to the campus's counter and through its tunnels, for `/metrics`.

use cloudschool_relay::TunnelStats;
use cloudschool_relay::enrol::OfficeStats;
use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric};
use prometheus_client::metrics::counter::ConstCounter;
use prometheus_client::metrics::gauge::ConstGauge;

/// Both, at one moment, where there is such a thing.
#[derive(Debug, Default)]
pub struct Counts {
    pub enrolments: Option<OfficeStats>,
    pub tunnels: Option<TunnelStats>,
}

impl Collector for Counts {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> std::fmt::Result {
        if let Some(counts) = self.enrolments {
            let help = "Machines that came with a code, by what became of them";
            count(&mut encoder, "enrolments", help, &outcomes(counts))?;
        }
        let Some(tunnels) = self.tunnels else { return Ok(()) };
        let kind = ConstGauge::new(0u64).metric_type();
        let help = "Trunks' TCP connections, where UDP is blocked";
        let open = encoder.encode_descriptor("tunnels_open", help, None, kind)?;
        ConstGauge::new(tunnels.open).encode(open)?;
        let help = "TCP connections for trunks, by what became of them";
        let outcomes = [
            ("accepted", tunnels.accepted),
            ("failed", tunnels.failed),
            ("turned_away", tunnels.turned_away),
        ];
        count(&mut encoder, "tunnel_knocks", help, &outcomes)
    }
}

fn outcomes(counts: OfficeStats) -> [(&'static str, u64); 9] {
    [
        ("issued", counts.issued),
        ("wrong_code", counts.wrong_code),
        ("expired", counts.expired),
        ("used", counts.used),
        ("void", counts.void),
        ("too_often", counts.too_often),
        ("malformed", counts.malformed),
        ("unable", counts.unable),
        ("lost", counts.lost),
    ]
}

fn count(
    encoder: &mut DescriptorEncoder<'_>,
    name: &str,
    help: &str,
    outcomes: &[(&str, u64)],
) -> std::fmt::Result {
    let kind = ConstCounter::new(0u64).metric_type();
    let mut family = encoder.encode_descriptor(name, help, None, kind)?;
    for (outcome, value) in outcomes {
        let labels = [("outcome", *outcome)];
        ConstCounter::new(*value).encode(family.encode_family(&labels)?)?;
    }
    Ok(())
}
