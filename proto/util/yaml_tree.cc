#include "proto/util/yaml_tree.h"

#include <yaml-cpp/eventhandler.h>
#include <yaml-cpp/exceptions.h>
#include <yaml-cpp/parser.h>

#include <algorithm>
#include <exception>
#include <sstream>
#include <unordered_map>
#include <utility>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/strip.h"
#include "proto/base/text.h"

namespace agentruntime::yaml {
namespace {

constexpr absl::string_view kByteOrderMark = "\xEF\xBB\xBF";

// Left of `offset` in its line: yaml-cpp counts bytes, people count characters.
Position PositionOf(absl::string_view text, size_t offset) {
  const absl::string_view before = text.substr(0, offset);
  const size_t newline = before.rfind('\n');
  const absl::string_view line = newline == absl::string_view::npos ? before : before.substr(newline + 1);
  const auto continues = [](char c) { return (static_cast<unsigned char>(c) & 0xc0) == 0x80; };
  return {static_cast<int>(std::count(before.begin(), before.end(), '\n')) + 1,
          static_cast<int>(line.size() - std::count_if(line.begin(), line.end(), continues)) + 1};
}

// Where each line begins, so that finding positions stays linear.
class Lines {
 public:
  explicit Lines(absl::string_view text) : text_(text), starts_{0} {
    for (size_t i = 0; i < text.size(); ++i) {
      if (text[i] == '\n') starts_.push_back(i + 1);
    }
  }
  Position Find(const YAML::Mark& mark) const {
    if (!IsHere(mark)) return {};
    const absl::string_view line = Text(mark);
    return {mark.line + 1, PositionOf(line, std::min<size_t>(std::max(mark.column, 0), line.size())).column};
  }
  // The text of the line.
  absl::string_view Text(const YAML::Mark& mark) const {
    if (!IsHere(mark)) return "";
    const absl::string_view rest = text_.substr(starts_[mark.line]);
    return rest.substr(0, rest.find('\n'));
  }

 private:
  bool IsHere(const YAML::Mark& mark) const { return !mark.is_null() && mark.line >= 0 && static_cast<size_t>(mark.line) < starts_.size(); }

  absl::string_view text_;
  std::vector<size_t> starts_;
};

// Carries an error of ours out of yaml-cpp; caught in ParseTree.
struct Refusal : std::exception {
  Refusal(Position at, std::string in, std::string why) : position(at), path(std::move(in)), what_is_wrong(std::move(why)) {}
  Position position;
  std::string path;
  std::string what_is_wrong;
};

class TreeBuilder final : public YAML::EventHandler {
 public:
  explicit TreeBuilder(absl::string_view text) : lines_(text) {}

  Node Take() { return std::move(root_); }
  // Of the innermost list or map that is still open.
  Position OpenPosition() const { return open_.empty() ? Position() : open_.back()->position; }

  void OnDocumentStart(const YAML::Mark& mark) override {
    if (++documents_ > 1) throw Refusal(lines_.Find(mark), "", "a second document begins; keep one document a file");
  }
  void OnDocumentEnd() override {}

  void OnNull(const YAML::Mark& mark, YAML::anchor_t anchor) override {
    Check(mark, "?", anchor);
    if (ExpectsKey()) throw Refusal(lines_.Find(mark), Path(), "a key must be text, not null");
    Add(mark, Node::Kind::kNull);
  }

  void OnAlias(const YAML::Mark& mark, YAML::anchor_t) override {
    throw Refusal(lines_.Find(mark), Path(), "aliases (*name) are not accepted; write the value out");
  }

  void OnScalar(const YAML::Mark& mark, const std::string& tag, YAML::anchor_t anchor, const std::string& value) override {
    Check(mark, tag == "!" ? "?" : tag, anchor);  // yaml-cpp's mark of a quoted scalar
    if (ExpectsKey()) return AddKey(mark, value);
    Node& node = Add(mark, Node::Kind::kScalar);
    node.text = value;
    node.quoted = tag == "!";
  }

  void OnSequenceStart(const YAML::Mark& mark, const std::string& tag, YAML::anchor_t anchor, YAML::EmitterStyle::value) override {
    Open(mark, tag, anchor, Node::Kind::kList);
  }
  void OnSequenceEnd() override { Close(); }
  void OnMapStart(const YAML::Mark& mark, const std::string& tag, YAML::anchor_t anchor, YAML::EmitterStyle::value) override {
    Open(mark, tag, anchor, Node::Kind::kMap);
  }
  void OnMapEnd() override { Close(); }

 private:
  bool ExpectsKey() const { return !open_.empty() && open_.back()->kind == Node::Kind::kMap && !has_key_; }

  // Of what comes next: a list's next item or the value of the key just read.
  std::string Path() const {
    std::string path;
    for (size_t i = 0; i + 1 < open_.size(); ++i) path = ChildPath(path, *open_[i], open_[i]->children.size() - 1);
    if (open_.empty() || ExpectsKey()) return path;
    const Node& parent = *open_.back();
    return ChildPath(path, parent, parent.children.size() - (parent.kind == Node::Kind::kMap ? 1 : 0));
  }

  void Check(const YAML::Mark& mark, absl::string_view tag, YAML::anchor_t anchor) const {
    if (anchor != YAML::NullAnchor) throw Refusal(lines_.Find(mark), Path(), "anchors (&name) are not accepted; write the value out where it is needed");
    if (!tag.empty() && tag != "?") throw Refusal(lines_.Find(mark), Path(), "tags (!name) are not accepted; the field decides the type");
  }

  void AddKey(const YAML::Mark& mark, const std::string& key) {
    Node& map = *open_.back();
    const auto [known, is_new] = keys_.back().emplace(key, map.children.size());
    if (!is_new) {
      const int first_line = map.children[known->second].key_position.line;
      throw Refusal(lines_.Find(mark), ChildPath(Path(), map, known->second), absl::StrCat("given twice, first in line ", first_line));
    }
    Node& child = map.children.emplace_back();
    child.key = key;
    child.key_position = lines_.Find(mark);
    has_key_ = true;
  }

  Node& Add(const YAML::Mark& mark, Node::Kind kind) {
    Node* node = &root_;
    if (!open_.empty()) node = has_key_ ? &open_.back()->children.back() : &open_.back()->children.emplace_back();
    node->kind = kind;
    // yaml-cpp marks a value that is not there with whatever comes after it.
    node->position = kind == Node::Kind::kNull && has_key_ ? node->key_position : lines_.Find(mark);
    has_key_ = false;
    return *node;
  }

  void Open(const YAML::Mark& mark, const std::string& tag, YAML::anchor_t anchor, Node::Kind kind) {
    Check(mark, tag, anchor);
    if (ExpectsKey()) throw Refusal(lines_.Find(mark), Path(), "a key must be text, not a map or a list");
    if (open_.size() >= kDepthMax) throw Refusal(lines_.Find(mark), "", absl::StrCat("nested deeper than ", kDepthMax, " levels"));
    open_.push_back(&Add(mark, kind));
    keys_.emplace_back();
  }
  void Close() {
    open_.pop_back();
    keys_.pop_back();
  }

  const Lines lines_;
  Node root_;
  std::vector<Node*> open_;                                    // from the root; a node's siblings are added only after it is closed, so the pointers stay good
  std::vector<std::unordered_map<std::string, size_t>> keys_;  // of each open node, with the index of their child
  bool has_key_ = false;                                       // the innermost open node is a map and its last child waits for its value
  int documents_ = 0;
};

// What yaml-cpp would misread or stop at: it takes text with NULs for UTF-16 and ends at 0x04.
absl::Status CheckBytes(absl::string_view file, absl::string_view text) {
  if (text.size() > kTextBytesMax) {
    return ErrorAt(file, {}, "", absl::StrCat("the text has ", text.size(), " bytes; at most ", kTextBytesMax, " are accepted"));
  }
  if (!IsValidUtf8(text)) {
    const std::string valid = MakeValidUtf8(text);
    const size_t offset = std::mismatch(text.begin(), text.end(), valid.begin(), valid.end()).first - text.begin();
    return ErrorAt(file, PositionOf(text, offset), "", "invalid UTF-8; save the file as UTF-8");
  }
  const auto refused = [](char c) { return absl::ascii_iscntrl(c) && c != '\n' && c != '\r' && c != '\t'; };
  const auto* const found = std::find_if(text.begin(), text.end(), refused);
  if (found == text.end()) return absl::OkStatus();
  return ErrorAt(file, PositionOf(text, found - text.begin()), "", absl::StrFormat("control character 0x%02x; write it as \"\\x%02x\"", *found, *found));
}

// Two frequent mistakes get words of their own: yaml-cpp calls tabs `illegal map value` and the like, and puts a missing bracket anywhere.
absl::Status SyntaxError(absl::string_view file, absl::string_view text, const YAML::Exception& error, Position open) {
  if (open.line > 0 && (error.msg == YAML::ErrorMsg::END_OF_SEQ_FLOW || error.msg == YAML::ErrorMsg::END_OF_MAP_FLOW)) {
    return ErrorAt(file, open, "", "not valid YAML: what opens here is not closed, or a comma is missing");
  }
  const Lines lines(text);
  const absl::string_view line = lines.Text(error.mark);
  const size_t tab = line.find('\t');
  if (tab != absl::string_view::npos && tab == line.find_first_not_of(' ')) {
    return ErrorAt(file, {lines.Find(error.mark).line, static_cast<int>(tab) + 1}, "", "not valid YAML: a tab; indent with spaces");
  }
  return ErrorAt(file, lines.Find(error.mark), "", absl::StrCat("not valid YAML: ", error.msg));
}

bool IsPlainWord(absl::string_view key) {
  return !key.empty() && std::all_of(key.begin(), key.end(), [](char c) { return absl::ascii_isalnum(c) || c == '_' || c == '-'; });
}

}  // namespace

absl::Status ErrorAt(absl::string_view file, Position position, absl::string_view path, absl::string_view what) {
  std::string message(file);
  if (position.line > 0) absl::StrAppend(&message, ":", position.line, ":", position.column);
  if (!path.empty()) absl::StrAppend(&message, ": ", path);
  absl::StrAppend(&message, ": ", what);
  return absl::InvalidArgumentError(message);
}

std::string ChildPath(absl::string_view path, const Node& parent, size_t index) {
  if (parent.kind == Node::Kind::kList) return absl::StrCat(path, "[", index, "]");
  const std::string& key = parent.children[index].key;
  if (IsPlainWord(key)) return absl::StrCat(path, path.empty() ? "" : ".", key);
  return absl::StrCat(path, "[\"", EscapeJson(OneLine(key, 80)), "\"]");
}

absl::StatusOr<Node> ParseTree(absl::string_view file, absl::string_view text) {
  text = absl::StripPrefix(text, kByteOrderMark);
  if (absl::Status status = CheckBytes(file, text); !status.ok()) return status;
  TreeBuilder builder(text);
  try {
    std::istringstream stream{std::string(text)};
    YAML::Parser parser(stream);
    while (parser.HandleNextDocument(builder)) {
    }
    return builder.Take();
  } catch (const Refusal& refusal) {
    return ErrorAt(file, refusal.position, refusal.path, refusal.what_is_wrong);
  } catch (const YAML::Exception& error) {
    return SyntaxError(file, text, error, builder.OpenPosition());
  } catch (const std::exception& error) {
    return ErrorAt(file, {}, "", absl::StrCat("cannot be read as YAML: ", error.what()));
  }
}

}  // namespace agentruntime::yaml
