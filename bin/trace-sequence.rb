#!/usr/bin/env ruby
# Turns the trace files of a ring into a PlantUML sequence diagram.
#
#   cat /tmp/habitat-swim-trace/*.swimtrace | LC_ALL=C sort | ruby bin/trace-sequence.rb > sequence.txt
#   PLANTUML_LIMIT_SIZE=163840 plantuml -tsvg sequence.txt
#
# Each input line has 12 fields joined by `^` (docs/PROTOCOL.md, section 5):
#
#   time kind thread module line server-name member-id to-member-id listening to-addr swim rumor
#
# Solid arrows are what a member did or sent, dotted ones (Recv...) what reached it; both ends of a
# message are drawn. Times are relative to the first line. Lines that do not read as above are
# skipped and counted on standard error. A diagram of everything is soon too large to read: put
# `grep` in front to pick members, kinds or a span of time.
#
# Needs Ruby 2.5 or later and nothing besides.

FIELDS = %i[time kind thread module line name id to_id listening to_addr swim rumor].freeze

# The first pattern that fits the kind gives the arrow's colour.
COLOURS = [
  [/\AProbeConfirmed\z/, 'red',    'ProbeConfirmed'],
  [/\AProbeSuspect\z/,   'orange', 'ProbeSuspect'],
  [/\AProbe/,            'black',  'other Probe...'],
  [/PingReq\z/,          'yellow', '...PingReq'],
  [/Ping\z/,             'blue',   '...Ping'],
  [/Ack\z/,              'green',  '...Ack'],
  [/Rumor\z/,            'purple', '...Rumor'],
  [//,                   'gray',   'anything else']
].freeze

HEALTH_COLOURS = { 'Suspect' => 'darkorange', 'Confirmed' => 'red', 'Departed' => 'dimgray' }.freeze
DIVIDERS = %w[MemberUpdate TestEvent].freeze
ID = /(?<!\h)\h{32}(?!\h)/.freeze
WILDCARD = /\A(?:0\.0\.0\.0|\[?::\]?):\d+\z/.freeze
# A silence of this many nanoseconds or more is drawn as one.
SILENCE = 1_000_000_000
ITEMS_A_ROW = 2

Event = Struct.new(*FIELDS, :at)

# The event of one line, or nil if it is malformed.
def parse(line)
  fields = line.split('^', -1).map(&:strip)
  return unless fields.size == FIELDS.size

  event = Event.new(*fields)
  time = /\A(\d+)(?:\.(\d{1,9}))?\z/.match(event.time)
  return unless time && event.kind =~ /\A[A-Za-z]\w*\z/
  return if event.name.empty? && event.id.empty?

  event.at = time[1].to_i * 1_000_000_000 + time[2].to_s.ljust(9, '0').to_i
  event
end

# The text so that PlantUML shows it as it stands: what its markup or its preprocessor could take
# for their own becomes a character code, what a picture cannot hold U+FFFD.
def plain(text)
  text.gsub(%r{[^A-Za-z0-9 .,:+()/_-]|([/_-])\1+}) do |special|
    special.each_char.map { |c| format('<U+%04X>', c =~ /[[:cntrl:]]/ || c.ord > 0xFFFF ? 0xFFFD : c.ord) }.join
  end
end

def duration(nanoseconds)
  tenths = (nanoseconds / 100_000.0).round
  tenths.abs < 10_000 ? format('%.1f ms', tenths / 10.0) : format('%.4f s', tenths / 10_000.0)
end

# Who is in the diagram, in the order of appearance: known by member id, else by server name or by
# address.
class Participants
  def initialize(events)
    @aliases = {}
    @names = {}     # by key
    @addresses = {} # by member id, as others wrote them
    @reached = {}   # the same turned round
    @owners = {}    # by address: who listens there
    events.each { |event| learn(event) }
    events.reverse_each { |event| listens(event) } # so that the first to use an address owns it at first
    @id_digits = id_digits(events)
  end

  # The alias of the member that wrote the line.
  def writer(event)
    listens(event)
    short_name(key(event))
  end

  # The alias of the other side, or nil if the line names none.
  def other(event)
    return short_name(event.to_id) unless event.to_id.empty?
    return if event.to_addr.empty?

    short_name(@owners[event.to_addr] || @reached[event.to_addr] || event.to_addr)
  end

  def declarations
    @aliases.map do |key, short|
      name = @names[key]
      title = name ? "<b>#{plain(name)}</b>" : plain(shorten(key))
      below = name ? shorten(key) : @addresses[key]
      title += "\\n<size:10>#{plain(below)}</size>" if below && below != name
      "participant \"#{title}\" as #{short}"
    end
  end

  # The text with every member id cut to the digits that tell the ids of this trace apart.
  def shorten(text)
    text.gsub(ID) { |id| id[0, @id_digits] }
  end

  # The same, and the name before the id of a member that is known by one.
  def call_by_name(text)
    shorten(text.gsub(ID) { |id| @names[id] ? "#{@names[id]} #{id}" : id })
  end

  private

  def key(event)
    event.id.empty? ? event.name : event.id
  end

  def short_name(key)
    @aliases[key] ||= "m#{@aliases.size + 1}"
  end

  def learn(event)
    @names[key(event)] ||= event.name unless event.name.empty?
    return if event.to_id.empty? || event.to_addr.empty?

    @addresses[event.to_id] ||= event.to_addr
    @reached[event.to_addr] ||= event.to_id
  end

  def listens(event)
    @owners[event.listening] = key(event) unless event.listening.empty? || event.listening =~ WILDCARD
  end

  def id_digits(events)
    ids = {}
    events.each do |event|
      [event.id, event.to_id, event.swim, event.rumor].each { |text| text.scan(ID) { |id| ids[id] = true } }
    end
    (8..32).find { |digits| ids.each_key.map { |id| id[0, digits] }.uniq.size == ids.size } || 32
  end
end

# The arrows and dividers of the events, one line of PlantUML each.
class Sequence
  attr_reader :participants, :body

  def initialize(events)
    @participants = Participants.new(events)
    @start = @last = events.first.at
    @body = []
    @colours = {}
    events.each { |event| add(event) }
  end

  def legend
    COLOURS.map { |_, colour, meaning| "<color:#{colour}><U+25A0></color> #{meaning}" if @colours[colour] }.compact
  end

  private

  def add(event)
    @body << format('...%.1f s of silence...', (event.at - @last) / 1e9) if event.at - @last >= SILENCE
    @last = event.at
    @body << (DIVIDERS.include?(event.kind) ? divider(event) : arrow(event))
  end

  def divider(event)
    @participants.writer(event)
    @participants.other(event) unless event.to_id.empty?
    name = event.name.empty? ? @participants.shorten(event.id) : event.name
    what = [event.swim, event.rumor].reject(&:empty?)
    what = ["about #{event.to_id}"] if what.empty? && !event.to_id.empty?
    what = what.flat_map(&:split).map { |word| coloured(@participants.call_by_name(word)) }
    "== #{time(event)}  #{plain(name)}  #{plain(event.kind)}  #{what.join(' ')} =="
  end

  def arrow(event)
    me = @participants.writer(event)
    other = @participants.other(event)
    colour = COLOURS.find { |pattern, _| event.kind =~ pattern }[1]
    @colours[colour] = true
    "#{ends(event.kind, me, other, colour)} : #{label(event)}"
  end

  # A message whose other end is unknown comes from, or goes to, the edge of the picture.
  def ends(kind, me, other, colour)
    case kind
    when /\ARecv/ then "#{other ? "#{other} " : '['}-[##{colour}]-> #{me}"
    when /\ASend/ then "#{me} -[##{colour}]>#{other ? " #{other}" : ']'}"
    else "#{me} -[##{colour}]> #{other || me}"
    end
  end

  def label(event)
    rows = swim(event).each_slice(ITEMS_A_ROW).map { |items| items.join('  ') } + rumor(event)
    ["<b>#{plain(event.kind)}</b> <color:dimgray>#{time(event)}</color>",
     *rows.map { |row| "<size:10>#{row}</size>" }].join('\n')
  end

  def time(event)
    since = event.at - @start
    "#{'+' unless since.negative?}#{duration(since)}"
  end

  # The piggybacked memberships, `ID-INCARNATION-Health` each.
  def swim(event)
    event.swim.split.map { |item| coloured(@participants.shorten(item)) }
  end

  # A word in the colour of the health that it ends with.
  def coloured(word)
    colour = HEALTH_COLOURS[word[/-(\w+)\z/, 1]]
    colour ? "<color:#{colour}>#{plain(word)}</color>" : plain(word)
  end

  def rumor(event)
    event.rumor.empty? ? [] : [plain(@participants.shorten(event.rumor))]
  end
end

def diagram(events)
  return ['@startuml', 'legend', 'no trace lines', 'endlegend', '@enduml'] if events.empty?

  sequence = Sequence.new(events)
  ['@startuml',
   'skinparam sequenceLifeLineBorderColor #9AA5B1',
   'skinparam backgroundColor #E9EDF2',
   'skinparam sequenceArrowThickness 2',
   'skinparam sequenceMessageAlign left',
   "title #{events.size} trace lines, +0 is #{events.first.time}",
   *sequence.participants.declarations,
   *sequence.body,
   *(['legend right', *sequence.legend, 'endlegend'] unless sequence.legend.empty?),
   '@enduml']
end

abort "usage: cat *.swimtrace | LC_ALL=C sort | ruby #{$PROGRAM_NAME} > sequence.txt" unless ARGV.empty?

events = []
malformed = 0
$stdin.binmode
$stdin.each_line do |line|
  event = parse(line.force_encoding(Encoding::UTF_8).scrub('?'))
  event ? events << event : malformed += 1
end

warn "trace-sequence: skipped #{malformed} malformed line#{'s' unless malformed == 1}" if malformed.positive?

begin
  puts diagram(events)
  $stdout.flush
rescue Errno::EPIPE
  exit # the reader has seen enough
end
