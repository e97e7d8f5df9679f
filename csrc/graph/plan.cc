#include "graph/plan.h"

#include <algorithm>
#include <climits>
#include <utility>

namespace earbit {
namespace {

class Planner {
 public:
  Planner(const std::vector<Step>& steps, const Wanted& wanted,
          const std::vector<int64_t>& row_bytes, const std::vector<int64_t>& n_rows)
      : steps_(steps), row_bytes_(row_bytes), n_rows_(n_rows), values_(steps.size() + 1) {
    plan_.wanted = wanted;
    plan_.places.resize(values_.size());
    find_needed();
    join_chains();
    find_readers();
    share_places();
    place_values();
  }

  Plan plan() { return std::move(plan_); }

 private:
  struct Reader {
    int step;
    int order;  // of the step in the run
  };

  struct ValueUse {
    bool is_needed = false;
    bool is_given = false;
    bool is_output = false;
    int chain = -1;  // that makes it; -1 for a given value
    int order = -1;
    std::vector<Reader> readers;
    int place = -1;  // the value that had its place first
  };

  const Op& op_of(int value) const { return *steps_[value - 1].op; }
  bool is_computed(int id) const { return values_[id].is_needed && !values_[id].is_given; }

  void find_needed() {
    for (int id : plan_.wanted.outputs) values_[id].is_needed = values_[id].is_output = true;
    for (int id : plan_.wanted.given) values_[id].is_given = true;
    for (int id = static_cast<int>(values_.size()) - 1; id > 0; --id) {
      if (!is_computed(id)) continue;
      for (int input : steps_[id - 1].inputs) values_[input].is_needed = true;
    }
  }

  void join_chains() {
    std::vector<Chain>& chains = plan_.chains;
    for (int id = 1; id < static_cast<int>(values_.size()); ++id) {
      if (!is_computed(id)) continue;
      int last = -1;  // last chain that computes an input
      for (int input : steps_[id - 1].inputs) last = std::max(last, values_[input].chain);
      const bool joins = last >= 0 && op_of(id).block_rows().most == 0 &&
                         op_of(chains[last].steps.front() + 1).n_column_groups() == 1;
      if (!joins) {
        last = static_cast<int>(chains.size());
        chains.emplace_back();
      }
      chains[last].steps.push_back(id - 1);
      values_[id].chain = last;
    }
    int order = 0;
    for (const Chain& chain : chains) {
      for (int s : chain.steps) values_[s + 1].order = order++;
    }
  }

  void find_readers() {
    for (const Chain& chain : plan_.chains) {
      for (int s : chain.steps) {
        for (int input : steps_[s].inputs) {
          values_[input].readers.push_back({s, values_[s + 1].order});
        }
      }
    }
  }

  // Results take the place of an input where they can.
  void share_places() {
    for (const Chain& chain : plan_.chains) {
      for (int s : chain.steps) {
        values_[s + 1].place = s + 1;
        const std::vector<int>& inputs = steps_[s].inputs;
        for (size_t k = 0; k < inputs.size(); ++k) {
          if (!takes_place(s, k)) continue;
          values_[s + 1].place = values_[inputs[k]].place;
          break;
        }
      }
    }
  }

  // Whether step s is the last to read its input k, and other steps of the chain have read the same
  // rows before.
  bool takes_place(int s, size_t k) const {
    const int id = steps_[s].inputs[k];
    const ValueUse& x = values_[id];
    const ValueUse& y = values_[s + 1];
    if (x.is_given || x.is_output || !steps_[s].op->can_overwrite(k)) return false;
    if (plan_.wanted.is_streamed && leaves_chain(x)) return false;
    if (row_bytes_[id] != row_bytes_[s + 1]) return false;
    if (x.readers.back().order > y.order) return false;  // readers are in order
    int n_own = 0;
    for (const Reader& reader : x.readers) {
      if (reader.step == s) {
        ++n_own;
      } else if (values_[reader.step + 1].chain == y.chain && !reads_rows(reader.step, id)) {
        return false;
      }
    }
    return n_own == 1;
  }

  bool leaves_chain(const ValueUse& x) const {
    return std::any_of(x.readers.begin(), x.readers.end(), [&](const Reader& reader) {
      return values_[reader.step + 1].chain != x.chain;
    });
  }

  bool reads_rows(int s, int id) const {
    const std::vector<int>& inputs = steps_[s].inputs;
    for (size_t k = 0; k < inputs.size(); ++k) {
      if (inputs[k] == id && !steps_[s].op->needs(k).is_row()) return false;
    }
    return true;
  }

  // Values that have one place one after the other.
  struct Group {
    int first_chain = INT_MAX;
    int last_chain = -1;  // INT_MAX for an output
    int64_t n_bytes = 0;
    std::vector<int> values;
  };

  void place_values() {
    for (int id : plan_.wanted.given) {
      if (values_[id].is_needed) plan_.places[id] = {Place::Kind::given, 0};
    }
    std::vector<Group> groups(values_.size());
    for (int id = 1; id < static_cast<int>(values_.size()); ++id) {
      const ValueUse& value = values_[id];
      if (!is_computed(id)) continue;
      Group& group = groups[value.place];
      group.first_chain = std::min(group.first_chain, value.chain);
      group.last_chain = std::max(group.last_chain, value.is_output ? INT_MAX : value.chain);
      for (const Reader& reader : value.readers) {
        group.last_chain = std::max(group.last_chain, values_[reader.step + 1].chain);
      }
      group.n_bytes = std::max(group.n_bytes, row_bytes_[id] * n_rows_[id]);
      group.values.push_back(id);
    }
    std::vector<const Group*> in_slots;
    for (const Group& group : groups) {
      if (group.values.empty()) continue;
      if (group.first_chain < group.last_chain) {
        in_slots.push_back(&group);
      } else {
        Chain& chain = plan_.chains[group.first_chain];
        for (int id : group.values) plan_.places[id] = {Place::Kind::block, chain.n_blocks};
        ++chain.n_blocks;
      }
    }
    // Groups of a chain keep their order, without the memory that a stable sort takes.
    std::sort(in_slots.begin(), in_slots.end(), [](const Group* a, const Group* b) {
      return std::pair(a->first_chain, a) < std::pair(b->first_chain, b);
    });
    for (const Group* group : in_slots) place_in_slot(*group);
    for (size_t slot = 0; slot < slots_.size(); ++slot) {
      plan_.chains[slots_[slot].first_chain].takes.push_back(static_cast<int>(slot));
      if (slots_[slot].last_chain == INT_MAX) continue;
      plan_.chains[slots_[slot].last_chain].frees.push_back(static_cast<int>(slot));
    }
  }

  // The smallest free slot of at most twice the size, else a new one.  Outputs never have a slot of
  // others, because callers keep them.
  void place_in_slot(const Group& group) {
    int best = -1;
    const bool may_share =
        Memory::kIsUsedAgain && !plan_.wanted.is_streamed && group.last_chain != INT_MAX;
    for (int i = 0; may_share && i < static_cast<int>(slots_.size()); ++i) {
      const Group& slot = slots_[i];
      const bool is_free = slot.last_chain < group.first_chain && slot.n_bytes >= group.n_bytes &&
                           slot.n_bytes / 2 <= group.n_bytes;
      if (is_free && (best < 0 || slot.n_bytes < slots_[best].n_bytes)) best = i;
    }
    if (best < 0) {
      best = static_cast<int>(slots_.size());
      slots_.push_back(group);
      plan_.slots.emplace_back();
    }
    slots_[best].last_chain = group.last_chain;
    for (int id : group.values) {
      plan_.places[id] = {Place::Kind::slot, best};
      plan_.slots[best].push_back(id);
    }
  }

  const std::vector<Step>& steps_;
  const std::vector<int64_t>& row_bytes_;
  const std::vector<int64_t>& n_rows_;
  std::vector<ValueUse> values_;
  std::vector<Group> slots_;
  Plan plan_;
};

}  // namespace

Plan make_plan(const std::vector<Step>& steps, const Wanted& wanted,
               const std::vector<int64_t>& row_bytes, const std::vector<int64_t>& n_rows) {
  return Planner(steps, wanted, row_bytes, n_rows).plan();
}

}  // namespace earbit
