"""The words of the grammar, in tables that `dictionary` reads.

Nouns are listed by kind. Verbs and adjectives list the kinds that they can be used with: people read books and eat
soup. Verbs are listed by their frame, which is the objects that they take.
"""

from tfmr.data.corpora.grammar.dictionary import compounds, read_adjectives, read_nouns, read_verbs
from tfmr.data.corpora.grammar.meaning import EnglishVerb, GermanVerb, Noun, Verb

BASE_NOUNS = read_nouns("""
  person
    man, men | der Mann, Männer
    boy | der Junge, Jungen, weak
    father | der Vater, Väter
    brother | der Bruder, Brüder
    son | der Sohn, Söhne
    uncle | der Onkel, Onkel
    friend | der Freund, Freunde
    neighbour | der Nachbar, Nachbarn, weak
    teacher | der Lehrer, Lehrer
    doctor | der Arzt, Ärzte
    student | der Student, Studenten, weak
    colleague | der Kollege, Kollegen, weak
    guest | der Gast, Gäste
    cook | der Koch, Köche
    farmer | der Bauer, Bauern, weak
    king | der König, Könige
    tourist | der Tourist, Touristen, weak
    police officer | der Polizist, Polizisten, weak
    woman, women | die Frau, Frauen
    mother | die Mutter, Mütter
    sister | die Schwester, Schwestern
    daughter | die Tochter, Töchter
    aunt | die Tante, Tanten
    grandmother | die Großmutter, Großmütter
    queen | die Königin, Königinnen
    actress | die Schauspielerin, Schauspielerinnen
    waitress | die Kellnerin, Kellnerinnen
    girl | das Mädchen, Mädchen
    child, children | das Kind, Kinder
    baby | das Baby, Babys
  animal
    dog | der Hund, Hunde
    cat | die Katze, Katzen
    horse | das Pferd, Pferde
    bird | der Vogel, Vögel
    cow | die Kuh, Kühe
    rabbit | das Kaninchen, Kaninchen
    bear | der Bär, Bären, weak
  food
    apple | der Apfel, Äpfel
    banana | die Banane, Bananen
    pear | die Birne, Birnen
    biscuit | der Keks, Kekse
    cheese | der Käse
  cooked
    egg | das Ei, Eier
    sausage | die Wurst, Würste
    potato, potatoes | die Kartoffel, Kartoffeln
    soup | die Suppe, Suppen
    rice | der Reis
  baked
    bread | das Brot
    cake | der Kuchen, Kuchen
    pizza | die Pizza, Pizzen
  drink
    water | das Wasser
    milk | die Milch
    coffee | der Kaffee
    tea | der Tee
    wine | der Wein
    beer | das Bier
  text
    letter | der Brief, Briefe
    poem | das Gedicht, Gedichte
    story | die Geschichte, Geschichten
    report | der Bericht, Berichte
    novel | der Roman, Romane
    book | das Buch, Bücher
  paper
    newspaper | die Zeitung, Zeitungen
    magazine | die Zeitschrift, Zeitschriften
  furniture
    table | der Tisch, Tische
    chair | der Stuhl, Stühle
    bed | das Bett, Betten
    cupboard | der Schrank, Schränke
  thing
    picture | das Bild, Bilder
    key | der Schlüssel, Schlüssel
    umbrella | der Regenschirm, Regenschirme
    present | das Geschenk, Geschenke
    ball | der Ball, Bälle
    flower | die Blume, Blumen
    knife, knives | das Messer, Messer
    plate | der Teller, Teller
    cup | die Tasse, Tassen
    glass | das Glas, Gläser
  container
    bag | die Tasche, Taschen
    box | die Kiste, Kisten
    suitcase | der Koffer, Koffer
    bottle | die Flasche, Flaschen
  device
    lamp | die Lampe, Lampen
    computer | der Computer, Computer
    camera | die Kamera, Kameras
    radio | das Radio, Radios
  opening
    door | die Tür, Türen
    window | das Fenster, Fenster
  clothes
    coat | der Mantel, Mäntel
    jacket | die Jacke, Jacken
    shirt | das Hemd, Hemden
    dress | das Kleid, Kleider
    hat | der Hut, Hüte
    shoe | der Schuh, Schuhe
  vehicle
    car | das Auto, Autos
    bicycle | das Fahrrad, Fahrräder
    bus | der Bus, Busse
    train | der Zug, Züge
    ship | das Schiff, Schiffe
  room
    kitchen | die Küche, Küchen
    office | das Büro, Büros
    cellar | der Keller, Keller
    room | das Zimmer, Zimmer
  building
    house | das Haus, Häuser
    school | die Schule, Schulen
    church | die Kirche, Kirchen
    museum | das Museum, Museen
    hotel | das Hotel, Hotels
    restaurant | das Restaurant, Restaurants
    library | die Bibliothek, Bibliotheken
    hospital | das Krankenhaus, Krankenhäuser
    bakery | die Bäckerei, Bäckereien
    theatre | das Theater, Theater
  outdoors
    garden | der Garten, Gärten
    park | der Park, Parks
    forest | der Wald, Wälder
    city | die Stadt, Städte
    village | das Dorf, Dörfer
""")
CHILDREN = [noun for noun in BASE_NOUNS if noun.english in ("child", "baby")]

# People and animals that can be somebody's: my brother, but not my man or my tourist.
OWN = [
    "friend", "neighbour", "father", "brother", "son", "uncle", "teacher", "doctor", "student", "colleague", "guest",
    "cook", "mother", "sister", "daughter", "aunt", "grandmother", "child", "baby", "dog", "cat", "horse", "bird",
    "rabbit", "cow",
]  # fmt: skip

MALE_NAMES = ["Peter", "Paul", "David", "Martin", "Simon", "Robert", "Daniel", "Oliver"]
FEMALE_NAMES = ["Anna", "Maria", "Lisa", "Sarah", "Julia", "Emma", "Clara", "Helena"]
CITIES = [
    ("Berlin", "Berlin"), ("Hamburg", "Hamburg"), ("London", "London"), ("Paris", "Paris"),
    ("Vienna", "Wien"), ("Munich", "München"), ("Cologne", "Köln"), ("Rome", "Rom"),
    ("Italy", "Italien"), ("France", "Frankreich"), ("Poland", "Polen"), ("Spain", "Spanien"),
]  # fmt: skip

_HEADS = {noun.english: noun for noun in BASE_NOUNS} | {
    "salad": Noun("salad", "salads", "Salat", "Salate", "m", "cooked"),
    "juice": Noun("juice", "", "Saft", "", "m", "drink"),
    "driver": Noun("driver", "drivers", "Fahrer", "Fahrer", "m", "person"),
}


def _family(kind: str, first_parts: str, heads: str) -> list[Noun]:
    """Joins first parts such as `kitchen=Küchen` with heads, which are named by their English words.

    A first part keeps its own form inside a compound: bare (Apfel-), with linking letters (Küche-n-, Geschicht-s-,
    Hühn-er-), or shortened (Schul-, Kirsch-).
    """
    parts = dict(part.split("=") for part in first_parts.split())
    return compounds(kind, parts, [_HEADS[head] for head in heads.split()])


JUICES = _family("drink", "apple=Apfel orange=Orangen cherry=Kirsch grape=Trauben tomato=Tomaten", "juice")

COMPOUNDS = [
    *JUICES,
    *_family("baked", "apple=Apfel cherry=Kirsch lemon=Zitronen chocolate=Schokoladen plum=Pflaumen", "cake"),
    *_family("baked", "birthday=Geburtstags wedding=Hochzeits", "cake"),
    *_family("cooked", "potato=Kartoffel tomato=Tomaten onion=Zwiebel vegetable=Gemüse", "soup salad"),
    *_family("cooked", "fish=Fisch chicken=Hühner bean=Bohnen carrot=Karotten", "soup salad"),
    *_family("furniture", "kitchen=Küchen office=Büro garden=Garten wooden=Holz metal=Metall", "table chair"),
    *_family("opening", "kitchen=Küchen church=Kirchen school=Schul cellar=Keller", "door window"),
    *_family("device", "kitchen=Küchen office=Büro garden=Garten work=Arbeits", "lamp"),
    *_family("container", "leather=Leder school=Schul travel=Reise", "bag"),
    *_family("container", "wooden=Holz metal=Metall", "box"),
    *_family("clothes", "winter=Winter summer=Sommer leather=Leder", "coat jacket shoe"),
    *_family("clothes", "silk=Seiden cotton=Baumwoll summer=Sommer", "dress shirt"),
    *_family("text", "history=Geschichts art=Kunst music=Musik school=Schul", "book"),
    *_family("text", "love=Liebes farewell=Abschieds", "letter poem"),
    *_family("text", "newspaper=Zeitungs travel=Reise weather=Wetter work=Arbeits", "report"),
    *_family("text", "adventure=Abenteuer love=Liebes detective=Detektiv", "novel story"),
    *_family("thing", "water=Wasser wine=Wein beer=Bier milk=Milch", "glass bottle"),
    *_family("thing", "coffee=Kaffee tea=Tee", "cup"),
    *_family("thing", "kitchen=Küchen bread=Brot", "knife"),
    *_family("thing", "birthday=Geburtstags wedding=Hochzeits farewell=Abschieds", "present"),
    *_family("thing", "house=Haus car=Auto room=Zimmer cellar=Keller", "key"),
    *_family("building", "art=Kunst history=Geschichts city=Stadt village=Dorf", "museum"),
    *_family("building", "village=Dorf city=Stadt university=Universitäts", "library church"),
    *_family("building", "music=Musik language=Sprach village=Dorf dance=Tanz", "school"),
    *_family("room", "work=Arbeits hotel=Hotel guest=Gäste", "room"),
    *_family("person", "history=Geschichts music=Musik art=Kunst language=Sprach dance=Tanz", "teacher student"),
    *_family("person", "eye=Augen animal=Tier", "doctor"),
    *_family("person", "bus=Bus taxi=Taxi", "driver"),
    # A compound can be the first part of another: apple juice bottle, Apfelsaftflasche.
    *compounds("thing", {juice.english: juice.german for juice in JUICES}, [_HEADS["bottle"], _HEADS["glass"]]),
]

ADJECTIVES = read_adjectives("""
    old, older | alt, älter | person animal vehicle building furniture text clothes outdoors room device
    young, younger | jung, jünger | person animal
    small, smaller | klein, kleiner | person animal vehicle building furniture thing container outdoors room device
    big, bigger | groß, größer | animal vehicle building furniture thing container outdoors room opening
    new, newer | neu, neuer | vehicle building furniture text clothes thing container device opening
    beautiful, more beautiful | schön, schöner | thing clothes building outdoors room opening animal
    expensive, more expensive | teuer, teurer, teur | thing clothes vehicle furniture device building
    cheap, cheaper | billig, billiger | thing clothes vehicle furniture device container
    heavy, heavier | schwer, schwerer | furniture container device
    interesting, more interesting | interessant, interessanter | text paper
    boring, more boring | langweilig, langweiliger | text paper
    long, longer | lang, länger | text
    famous, more famous | berühmt, berühmter | person building text
    rich, richer | reich, reicher | person
    strong, stronger | stark, stärker | person animal
    friendly, friendlier | freundlich, freundlicher | mood person animal
    happy, happier | glücklich, glücklicher | mood person
    clever, cleverer | klug, klüger | person animal
    tired, more tired | müde, müder, müd | mood person animal
    sad, sadder | traurig, trauriger | mood person
    ill | krank | mood person animal
    hungry, hungrier | hungrig, hungriger | mood person animal
    broken | kaputt | vehicle device opening furniture
    fresh, fresher | frisch, frischer | food baked
    sweet, sweeter | süß, süßer | food baked
    hot, hotter | heiß, heißer | cooked
    cold, colder | kalt, kälter | drink cooked
    good, better | gut, besser | text drink food cooked baked
    dirty, dirtier | schmutzig, schmutziger | clothes vehicle room container opening
    dark, darker | dunkel, dunkler, dunkl | room outdoors
    red | rot | clothes thing vehicle container opening
    blue | blau | clothes thing vehicle container
    green | grün | clothes thing vehicle container opening
    black | schwarz | clothes animal vehicle container
    white | weiß | clothes animal furniture opening
""")

VERBS = read_verbs("""
  transitive
    eat, ate, eaten | essen, isst, hat gegessen | food cooked baked
    drink, drank, drunk | trinken, trinkt, hat getrunken | drink
    cook | kochen, kocht, hat gekocht | cooked
    bake | backen, backt, hat gebacken | baked
    prepare | zu-bereiten, bereitet, hat zubereitet | cooked cake pizza
    read, read, read | lesen, liest, hat gelesen | text paper
    write, wrote, written | schreiben, schreibt, hat geschrieben | text
    buy, bought, bought | kaufen, kauft, hat gekauft | food drink text paper furniture thing device clothes vehicle
    sell, sold, sold | verkaufen, verkauft, hat verkauft | food text furniture thing device clothes vehicle house hotel
    find, found, found | finden, findet, hat gefunden | thing container clothes animal text building
    look for | suchen, sucht, hat gesucht | thing container clothes animal person text building
    forget, forgot, forgotten | vergessen, vergisst, hat vergessen | thing container clothes text
    lose, lost, lost | verlieren, verliert, hat verloren | thing container clothes
    steal, stole, stolen | stehlen, stiehlt, hat gestohlen | thing container clothes device car bicycle
    carry | tragen, trägt, hat getragen | container furniture
    wash | waschen, wäscht, hat gewaschen | clothes vehicle animal
    repair | reparieren, repariert, hat repariert | vehicle device furniture opening
    paint | malen, malt, hat gemalt | animal person building outdoors
    visit | besuchen, besucht, hat besucht | person building
    meet, met, met | treffen, trifft, hat getroffen | person
    ask | fragen, fragt, hat gefragt | person
    hear, heard, heard | hören, hört, hat gehört | person animal
    feed, fed, fed | füttern, füttert, hat gefüttert | animal
    call | an-rufen, ruft, hat angerufen | person
    invite | ein-laden, lädt, hat eingeladen | person
    pick ~up | ab-holen, holt, hat abgeholt | person container
    bring ~along, brought, brought | mit-bringen, bringt, hat mitgebracht | text container food drink animal
    take ~along, took, taken | mit-nehmen, nimmt, hat mitgenommen | person container animal
    open | auf-machen, macht, hat aufgemacht | opening container
    close | zu-machen, macht, hat zugemacht | opening container
    turn ~on | ein-schalten, schaltet, hat eingeschaltet | device
    turn ~off | aus-schalten, schaltet, hat ausgeschaltet | device
    try ~on | an-probieren, probiert, hat anprobiert | clothes
    throw ~away, threw, thrown | weg-werfen, wirft, hat weggeworfen | clothes paper food thing
    borrow | aus-leihen, leiht, hat ausgeliehen | text vehicle device
    tidy ~up | auf-räumen, räumt, hat aufgeräumt | room
  stative
    see, saw, seen | sehen, sieht, hat gesehen | person animal vehicle thing building outdoors
    know, knew, known | kennen, kennt, hat gekannt | person building outdoors text
    love | lieben, liebt, hat geliebt | person animal
    need | brauchen, braucht, hat gebraucht | thing container clothes device vehicle furniture
    understand, understood, understood | verstehen, versteht, hat verstanden | person text
    have, had, had | haben, hat, hat gehabt | thing container clothes device vehicle animal house
  dative
    help | helfen, hilft, hat geholfen | person
    thank | danken, dankt, hat gedankt | person
    follow | folgen, folgt, ist gefolgt | person animal
    answer | antworten, antwortet, hat geantwortet | person
    congratulate | gratulieren, gratuliert, hat gratuliert | person
    listen to | zu-hören, hört, hat zugehört | person
  ditransitive
    give, gave, given | geben, gibt, hat gegeben | thing container text drink food
    show, showed, shown | zeigen, zeigt, hat gezeigt | thing text building room animal clothes vehicle
    send, sent, sent | schicken, schickt, hat geschickt | text thing
    bring, brought, brought | bringen, bringt, hat gebracht | drink food cooked text clothes
    lend, lent, lent | leihen, leiht, hat geliehen | thing text vehicle clothes
  prepositional
    wait | warten, wartet, hat gewartet | person bus train | for | auf | accusative
    think, thought, thought | denken, denkt, hat gedacht | person outdoors | of | an | accusative
    talk | sprechen, spricht, hat gesprochen | person | with | mit | dative
    dance | tanzen, tanzt, hat getanzt | person | with | mit | dative
    laugh | lachen, lacht, hat gelacht | person story | at | über | accusative
    dream, dreamt, dreamt | träumen, träumt, hat geträumt | person building animal | of | von | dative
    play | spielen, spielt, hat gespielt | animal ball | with | mit | dative
  intransitive
    sleep, slept, slept | schlafen, schläft, hat geschlafen | person
    work | arbeiten, arbeitet, hat gearbeitet | person
    sing, sang, sung | singen, singt, hat gesungen | person
    cry | weinen, weint, hat geweint | person
    laugh | lachen, lacht, hat gelacht | person
    dance | tanzen, tanzt, hat getanzt | person
    wait | warten, wartet, hat gewartet | person
    swim, swam, swum | schwimmen, schwimmt, ist geschwommen | person
    get ~up, got, got | auf-stehen, steht, ist aufgestanden | person
    fall ~asleep, fell, fallen | ein-schlafen, schläft, ist eingeschlafen | person
    come ~back, came, come | zurück-kommen, kommt, ist zurückgekommen | person
    arrive | an-kommen, kommt, ist angekommen | person
  motion
    go, went, gone | gehen, geht, ist gegangen | person
    drive, drove, driven | fahren, fährt, ist gefahren | person
    run, ran, run | laufen, läuft, ist gelaufen | person
  travel
    travel, travelled, travelled | reisen, reist, ist gereist | person
    fly, flew, flown | fliegen, fliegt, ist geflogen | person
  rest
    lie, lay, lain | liegen, liegt, hat gelegen | text clothes paper key
    stand, stood, stood | stehen, steht, hat gestanden | container glass cup lamp
  placement
    lay, laid, laid | legen, legt, hat gelegt | text clothes paper key
    place | stellen, stellt, hat gestellt | container glass cup lamp
  please
    like | gefallen, gefällt, hat gefallen | text clothes building vehicle outdoors furniture
  say
    say, said, said | sagen, sagt, hat gesagt | that
    think, thought, thought | glauben, glaubt, hat geglaubt | that
    hope | hoffen, hofft, hat gehofft | that
    know, knew, known | wissen, weiß, hat gewusst | that whether
    ask | fragen, fragt, hat gefragt | whether
  try
    try | versuchen, versucht, hat versucht | zu
    promise | versprechen, verspricht, hat versprochen | zu
    forget, forgot, forgotten | vergessen, vergisst, hat vergessen | zu
    decide | beschließen, beschließt, hat beschlossen | zu
    hope | hoffen, hofft, hat gehofft | zu
  weather
    rain | regnen, regnet, hat geregnet | none
    snow | schneien, schneit, hat geschneit | none
  price
    cost, cost, cost | kosten, kostet, hat gekostet | none
""")
"""The verbs by frame. Those of say take a clause with that or whether, and those of try an infinitive with zu."""

# Actions without duration, which have no progressive form.
SUDDEN = ("find", "forget", "lose", "hear")
# Actions that are not used in requests, or after "like to".
UNWANTED = (*SUDDEN, "steal")
# "The woman likes the book" is "das Buch gefällt der Frau": the English object is the German subject.
(PLEASE,) = VERBS["please"]
BE = Verb(EnglishVerb("be", "was", "been", auxiliary=True), GermanVerb("sein", "ist", "gewesen", "sein"), stative=True)
# "There is a dog" is "es gibt einen Hund".
EXIST = Verb(BE.english, GermanVerb("geben", "gibt", "gegeben"), stative=True)
