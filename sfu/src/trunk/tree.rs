//! Where this node is in the tree of nodes, as a value: which nodes lie between it and the
//! lessons' origin, which stand behind each of its trunks from below, and by which of them a
//! node is reached.
//!
//! Who a trunk may speak for is its certificate's to say ([`Peer::speaks_for`]); what a peer
//! tells of the nodes behind it is taken within that, and no further.

use cloudschool_protocol::id::NodeId;
use cloudschool_protocol::trunk::{Control, MAX_BEHIND, MAX_PATH, NodeKind, Standing};
use cloudschool_relay::Peer;
use std::collections::BTreeMap;

/// What the node above says would make a circle, or is no path.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NoPath {
    #[error(
        "{me} would get its lessons from itself, by way of {}: give one of these nodes another \
         [trunk] upstream",
        by_way_of(path)
    )]
    Circle { me: NodeId, path: Vec<NodeId> },
    #[error("{me} would be {} nodes away from the campus, and {MAX_PATH} are allowed", .hops)]
    TooLong { me: NodeId, hops: usize },
}

fn by_way_of(path: &[NodeId]) -> String {
    let names: Vec<&str> = path.iter().map(NodeId::as_str).collect();
    names.join(", ")
}

/// A trunk from below.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Below {
    peer: Peer,
    /// Whether it was heard lately.
    reachable: bool,
    /// The nodes behind it.
    behind: BTreeMap<NodeId, Standing>,
}

/// The tree as this node sees it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tree {
    me: NodeId,
    /// The nodes from the origin to the one above, at an edge that knows them.
    above: Vec<NodeId>,
    /// The origin can't be reached.
    away: bool,
    below: BTreeMap<NodeId, Below>,
}

impl Tree {
    /// The tree of the origin: nobody is above it.
    #[must_use]
    pub fn of_origin(me: NodeId) -> Self {
        Self { me, above: Vec::new(), away: false, below: BTreeMap::new() }
    }

    /// That of a node that has not reached the one above yet.
    #[must_use]
    pub fn of_edge(me: NodeId) -> Self {
        Self { away: true, ..Self::of_origin(me) }
    }

    /// The node above says which nodes lie between the origin and itself.
    ///
    /// # Errors
    /// [`NoPath`]; its lessons are not to be taken then.
    pub fn set_path(&mut self, nodes: Vec<NodeId>, away: bool) -> Result<(), NoPath> {
        if nodes.contains(&self.me) {
            return Err(NoPath::Circle { me: self.me.clone(), path: nodes });
        }
        if nodes.len() >= MAX_PATH {
            return Err(NoPath::TooLong { me: self.me.clone(), hops: nodes.len() });
        }
        (self.above, self.away) = (nodes, away);
        Ok(())
    }

    /// Whether the origin can't be reached from here.
    pub fn set_away(&mut self, away: bool) {
        self.away = away;
    }

    /// What to tell the nodes below.
    #[must_use]
    pub fn path(&self) -> Control {
        let nodes = self.above.iter().chain([&self.me]).cloned().collect();
        Control::Path { nodes, away: self.away }
    }

    /// A trunk from below is there. What stood behind its forerunner does so until it says
    /// otherwise.
    pub fn joined(&mut self, peer: Peer) {
        let before = self.below.remove(&peer.node);
        let behind = before.filter(|b| b.peer == peer).map(|b| b.behind).unwrap_or_default();
        self.below.insert(peer.node.clone(), Below { peer, reachable: true, behind });
    }

    /// It is gone.
    pub fn parted(&mut self, peer: &NodeId) {
        self.below.remove(peer);
    }

    /// It was heard again, or not for a while.
    pub fn set_reachable(&mut self, peer: &NodeId, reachable: bool) {
        if let Some(below) = self.below.get_mut(peer) {
            below.reachable = reachable;
        }
    }

    /// A peer says which nodes stand behind it. Returns how many of them it may not speak for.
    pub fn set_behind(&mut self, peer: &NodeId, nodes: Vec<Standing>) -> usize {
        let (me, above) = (&self.me, &self.above);
        let Some(below) = self.below.get_mut(peer) else { return nodes.len() };
        let told = nodes.len();
        let carries = &below.peer;
        let may_be = |s: &Standing| {
            // A node that stands in no school stands behind one that is there for others.
            let school = match &s.school {
                Some(school) => carries.speaks_for(school),
                None => carries.carries_others(),
            };
            school && s.node != carries.node && s.node != *me && !above.contains(&s.node)
        };
        let taken = nodes.into_iter().take(MAX_BEHIND).filter(may_be);
        below.behind = taken.map(|s| (s.node.clone(), s)).collect();
        told - below.behind.len()
    }

    /// Whether what comes by the trunk of `peer` may be said in the name of `node`.
    #[must_use]
    pub fn speaks_for(&self, peer: &NodeId, node: &NodeId) -> bool {
        peer == node || self.below.get(peer).is_some_and(|b| b.behind.contains_key(node))
    }

    /// The trunks from below by which `node` is reached: its own, or those of nodes in front of
    /// it, the ones that are heard first.
    #[must_use]
    pub fn ways_to(&self, node: &NodeId) -> Vec<(&NodeId, bool)> {
        let own = self.below.get_key_value(node);
        let others = self.below.iter().filter(|(_, b)| b.behind.contains_key(node));
        let mut ways: Vec<_> =
            own.into_iter().chain(others).map(|(n, b)| (n, b.reachable)).collect();
        ways.sort_by_key(|(_, reachable)| !reachable);
        ways
    }

    /// Every school's or district's node that stands behind this one, to tell the node above.
    /// One that is not heard any more is left out: it may have gone another way.
    #[must_use]
    pub fn behind(&self) -> Vec<Standing> {
        let mut all = BTreeMap::new();
        for below in self.below.values().filter(|b| b.peer.kind == NodeKind::Edge && b.reachable) {
            let Peer { node, school, .. } = &below.peer;
            all.insert(node, Standing { node: node.clone(), school: school.clone() });
            all.extend(below.behind.values().map(|s| (&s.node, s.clone())));
        }
        all.into_values().take(MAX_BEHIND).collect()
    }

    /// How many nodes stand behind this one.
    #[must_use]
    pub fn count(&self) -> usize {
        self.behind().len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use cloudschool_protocol::id::SchoolId;
    use cloudschool_relay::Carries;
    use proptest::prelude::*;

    fn node(name: &str) -> NodeId {
        NodeId::new(name).unwrap()
    }

    fn school(name: &str) -> SchoolId {
        SchoolId::new(name).unwrap()
    }

    fn standing(name: &str) -> Standing {
        Standing { node: node(name), school: Some(school(name)) }
    }

    fn of_school(name: &str) -> Peer {
        Peer::new(node(name), NodeKind::Edge, Some(school(name)))
    }

    fn district(name: &str, schools: &[&str]) -> Peer {
        let carries = Carries::Only(schools.iter().map(|s| school(s)).collect());
        Peer { carries, ..Peer::new(node(name), NodeKind::Edge, None) }
    }

    fn ways(tree: &Tree, to: &str) -> Vec<String> {
        tree.ways_to(&node(to)).into_iter().map(|(n, _)| n.to_string()).collect()
    }

    #[test]
    fn a_node_that_finds_itself_above_is_in_a_circle() {
        let mut tree = Tree::of_edge(node("a"));
        let path = vec![node("b"), node("a"), node("c")];
        let circle = tree.set_path(path, false).unwrap_err().to_string();
        assert!(circle.contains("by way of b, a, c"), "{circle}");
        let long = (0..MAX_PATH).map(|n| node(&format!("n{n}"))).collect();
        assert!(matches!(tree.set_path(long, false), Err(NoPath::TooLong { .. })));
        assert_eq!(tree, Tree::of_edge(node("a")), "nothing of it was taken");
    }

    #[test]
    fn two_nodes_that_dial_each_other_find_out() {
        let (mut a, mut b) = (Tree::of_edge(node("a")), Tree::of_edge(node("b")));
        let Control::Path { nodes, away } = a.path() else { panic!() };
        assert!(away, "it knows no origin");
        b.set_path(nodes, away).unwrap();
        let Control::Path { nodes, away } = b.path() else { panic!() };
        assert!(matches!(a.set_path(nodes, away), Err(NoPath::Circle { .. })));
    }

    #[test]
    fn a_peer_speaks_for_itself_and_for_what_its_certificate_lets_stand_behind_it() {
        let mut tree = Tree::of_origin(node("campus"));
        tree.joined(district("district", &["s1", "s2"]));
        tree.joined(of_school("s3"));
        let told = ["s1", "s3", "campus", "district"].map(standing).to_vec();
        assert_eq!(tree.set_behind(&node("district"), told), 3);
        assert_eq!(tree.set_behind(&node("s3"), vec![standing("s1"), standing("s2")]), 2);
        let for_whom = |peer: &str, who: &str| tree.speaks_for(&node(peer), &node(who));
        assert!(for_whom("district", "s1") && for_whom("district", "district"));
        assert!(!for_whom("district", "s2"), "it may, and did not say that it is there");
        assert!(!for_whom("district", "s3") && !for_whom("s3", "s1"));
    }

    #[test]
    fn a_node_that_comes_by_two_ways_is_reached_by_the_one_that_is_heard() {
        let mut tree = Tree::of_origin(node("campus"));
        tree.joined(district("district", &["s1"]));
        tree.set_behind(&node("district"), vec![standing("s1")]);
        assert_eq!(ways(&tree, "s1"), ["district"]);
        tree.joined(of_school("s1"));
        assert_eq!(ways(&tree, "s1"), ["s1", "district"], "its own trunk first");
        tree.set_reachable(&node("s1"), false);
        assert_eq!(ways(&tree, "s1"), ["district", "s1"]);
        tree.parted(&node("district"));
        assert_eq!(ways(&tree, "s1"), ["s1"]);
    }

    #[test]
    fn the_node_above_is_told_of_every_node_that_is_heard_and_of_no_service() {
        let mut tree = Tree::of_edge(node("city"));
        tree.joined(district("district", &["s1", "s2"]));
        tree.set_behind(&node("district"), vec![standing("s1"), standing("s2")]);
        tree.joined(of_school("s3"));
        tree.joined(Peer::new(node("rec"), NodeKind::Recorder, None));
        let names = |tree: &Tree| -> Vec<String> {
            tree.behind().iter().map(|s| s.node.to_string()).collect()
        };
        assert_eq!(names(&tree), ["district", "s1", "s2", "s3"]);
        tree.set_reachable(&node("district"), false);
        assert_eq!(names(&tree), ["s3"]);
        // A trunk made anew stands for what its forerunner did until it says otherwise.
        tree.joined(district("district", &["s1", "s2"]));
        assert_eq!(names(&tree), ["district", "s1", "s2", "s3"]);
    }

    proptest! {
        #[test]
        fn whatever_peers_say_nobody_speaks_for_a_school_it_does_not_carry(
            said in prop::collection::vec((0usize..4, prop::collection::vec(0usize..6, 0..6)), 0..30),
        ) {
            let names = ["s0", "s1", "s2", "s3", "s4", "s5"];
            let peers = [
                district("d0", &["s0", "s1"]),
                district("d1", &["s1", "s2", "s3"]),
                of_school("s4"),
                of_school("s5"),
            ];
            let mut tree = Tree::of_origin(node("campus"));
            peers.iter().for_each(|p| tree.joined(p.clone()));
            for (peer, behind) in said {
                let nodes: Vec<_> = behind.into_iter().map(|n| standing(names[n])).collect();
                tree.set_behind(&peers[peer].node, nodes);
                for peer in &peers {
                    for name in names {
                        let may = peer.node == node(name) || peer.speaks_for(&school(name));
                        prop_assert!(may || !tree.speaks_for(&peer.node, &node(name)));
                    }
                }
            }
        }
    }
}
