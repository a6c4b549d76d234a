"""The adjectives, with the kinds of noun that they can describe."""

from tfmr.data.corpora.grammar.dictionary import read_adjectives

ADJECTIVES = read_adjectives(
    """
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
    """
)
